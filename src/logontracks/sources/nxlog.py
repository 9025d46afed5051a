"""Being written."""
def recognizes(start: bytes) -> bool:
    return False

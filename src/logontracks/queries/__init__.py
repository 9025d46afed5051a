"""The questions that the faces ask of a case. Every face gets its answer from here, so all tell the same."""

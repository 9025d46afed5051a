-- One row for each name that a host goes by in the logs.
-- Names that follow each other in one log, or of which a record tells that one became the other, are of one host. Several
-- hosts may have begun under the name of the image that they were made from.
-- Reads: host_logs.
--
-- Columns:
--   computer_key VARCHAR: Name of the host as records have it, in lower case
--   computer VARCHAR: The name as first written
--   host_id BIGINT: The host; from the earliest of its names that is its own
--   host_key VARCHAR: The last of its names, in lower case
--   position INTEGER: Which of its names it is, in the order of use: 1 is the first
--   host VARCHAR: The last of its names, as first written
--   names VARCHAR: All its names in the order of use, separated by blanks; of very many the first and the last, with ...
--     between them
--   is_image BOOLEAN: Several machines wrote under this name, and what each wrote cannot be told: what is told of this
--     host may mix them

SELECT DISTINCT computer_key AS computer_key, computer AS computer, host_id AS host_id, host_key AS host_key,
    position AS position, host AS host, names AS names, is_image AS is_image
FROM host_logs

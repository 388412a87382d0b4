-- The rights of the service on the database in its URL, and on its datasets, which are databases of their own with the
-- same beginning. The image grants everything on the first when it makes the user.
REVOKE ALL ON `concert`.* FROM 'concert'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, CREATE TEMPORARY TABLES, CREATE ROUTINE, EXECUTE
    ON `concert%`.* TO 'concert'@'%';

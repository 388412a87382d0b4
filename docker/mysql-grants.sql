-- A dataset is a database of its own, whose name begins with that of the database in the URL.
GRANT ALL ON `concert%`.* TO 'concert'@'%';

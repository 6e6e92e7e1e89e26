-- The tests make a database for each test, and users without rights.
GRANT ALL ON *.* TO usher@'%' WITH GRANT OPTION;

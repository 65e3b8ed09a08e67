-- What is done to an upgraded cluster before it goes on
INSERT INTO plain SELECT nextval('ids') + 100000, vec(i, 48) FROM generate_series(1, 40) i;
UPDATE plain SET v = vec(id + 7, 48) WHERE id % 6 = 0;
DELETE FROM plain WHERE id % 10 = 3;
INSERT INTO raw SELECT nextval('ids') + 100000, vec(i, 3) FROM generate_series(1, 40) i;
INSERT INTO large SELECT nextval('ids') + 100000, vec(i, 5000) FROM generate_series(1, 4) i;
DELETE FROM large WHERE id % 3 = 0;
INSERT INTO filtered (id, kind, price, v) SELECT i, 'kind 3', i, vec(i, 48) FROM generate_series(401, 420) i;
UPDATE filtered SET kind = 'kind 2' WHERE id % 5 = 1;
INSERT INTO emptied SELECT nextval('ids'), vec(i, 48) FROM generate_series(1, 40) i;
INSERT INTO unlogged SELECT nextval('ids'), vec(i, 48) FROM generate_series(1, 40) i;
INSERT INTO generated (v) SELECT vec(i + 1000, 12) FROM generate_series(1, 20) i;
UPDATE parted SET v = vec(id + 500, 24) WHERE id % 4 = 0;
DELETE FROM app."Odd ""Name""" WHERE id % 5 = 0;
REFRESH MATERIALIZED VIEW CONCURRENTLY grouped;
VACUUM (INDEX_CLEANUP on);
INSERT INTO plain SELECT nextval('ids') + 100000, vec(i % 3, 48) FROM generate_series(1, 20) i;

--
-- hnsw under negative inner product
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/hnsw_helpers.sql'
\set metric :abs_srcdir '/sql/include/hnsw_metric.sql'
\i :helpers
\set op '<#>'
\set class vector_ip_ops
\set one 0.99
\set many 0.25
\i :metric

DROP TABLE t;

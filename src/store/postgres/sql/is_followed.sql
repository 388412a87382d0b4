-- Whether at least as many sessions use a dataset as the database. Parameter: the epoch as hexadecimal digits.
--
-- The key of an advisory lock is a pair of numbers (objsubid 2), here those of LOCKS and IN_USE, or the halves of one
-- number (1), here the epoch.
WITH held AS (
    SELECT classid::bigint AS high, objid::bigint AS low, objsubid FROM pg_locks
    WHERE locktype = 'advisory' AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT CASE
    WHEN (SELECT count(*) FROM held WHERE objsubid = 1 AND (high << 32 | low) = ('x' || $1::text)::bit(64)::bigint)
         >= (SELECT count(*) FROM held WHERE objsubid = 2 AND high = x'636f6e63'::bigint AND low = 2)
    THEN 1::bigint ELSE 0 END

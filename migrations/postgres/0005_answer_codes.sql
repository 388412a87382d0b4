-- A stored answer is a code with up to two values, no longer a text in JSON.
ALTER TABLE idempotency ADD COLUMN answer_first bigint;
ALTER TABLE idempotency ADD COLUMN answer_second bigint;

-- The text of these refusals is the same for payments and cancellations. Nothing was done for them, so a repeat can be
-- decided again.
DELETE FROM idempotency WHERE answer IN ('"Unknown"', '"Foreign"', '"AlreadyPaid"');

UPDATE idempotency SET
    answer_first = coalesce(answer::json #>> '{Reserved,id}', answer::json #>> '{Charged,balance}',
                            answer::json #>> '{Registered,place}')::bigint,
    answer_second = coalesce(answer::json #>> '{Reserved,expires_at}', answer::json #>> '{Charged,at}',
                             answer::json #>> '{Registered,issued_at}')::bigint
WHERE answer LIKE '{%';

ALTER TABLE idempotency ALTER COLUMN answer TYPE bigint USING CASE
    WHEN answer LIKE '{"Reserved"%' THEN 10
    WHEN answer = '"Taken"' THEN 11
    WHEN answer = '"Locked"' THEN 12
    WHEN answer = '"Conflict"' THEN 13
    WHEN answer = '"LimitReached"' THEN 14
    WHEN answer = '"PlaceEnded"' THEN 15
    WHEN answer LIKE '{"Charged"%' THEN 20
    WHEN answer = '"Overflow"' THEN 21
    WHEN answer = '"UnknownUser"' THEN 22
    WHEN answer = '"Paid"' THEN 30
    WHEN answer = '"Expired"' THEN 33
    WHEN answer = '"BalanceTooLow"' THEN 35
    WHEN answer = '"Cancelled"' THEN 40
    WHEN answer LIKE '{"Registered"%' THEN 50
    END;

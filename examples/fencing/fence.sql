-- The fence: the newest owner that has announced itself. One row, never two.
CREATE TABLE fence (
  one   boolean PRIMARY KEY DEFAULT true CHECK (one),
  epoch bigint NOT NULL
);
INSERT INTO fence (epoch) VALUES (0);

-- What is kept here: numbered rows, each with the epoch of who wrote it. That a number
-- stands here once is the program's business: the store does not look.
CREATE TABLE entries (
  id    bigserial PRIMARY KEY,
  epoch bigint NOT NULL,
  n     bigint NOT NULL
);

-- A new owner says that it is there, before it reads. It waits for every transaction
-- that has passed check_epoch, and later ones queue up behind it. So whatever an older
-- owner has begun is committed by then, and will be read, or it is refused.
CREATE FUNCTION announce(mine bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  LOCK TABLE fence IN EXCLUSIVE MODE;
  UPDATE fence SET epoch = mine WHERE epoch <= mine;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'stale epoch %: % was announced', mine, (SELECT epoch FROM fence);
  END IF;
END $$;

-- Each transaction that writes calls this first. FOR SHARE keeps announcements away
-- until the transaction ends: none comes between this look and the commit.
CREATE FUNCTION check_epoch(mine bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  announced bigint;
BEGIN
  SELECT epoch INTO STRICT announced FROM fence FOR SHARE;
  IF announced <> mine THEN
    RAISE EXCEPTION 'stale epoch %: % was announced', mine, announced;
  END IF;
END $$;

-- A program that is stopped in the middle of a transaction holds up an announcement.
-- The store breaks such a transaction off.
DO $$ BEGIN
  EXECUTE format('ALTER DATABASE %I SET idle_in_transaction_session_timeout = %L', current_database(), '2s');
END $$;

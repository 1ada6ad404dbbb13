-- Polls and deadlines are leased by user too, so one index serves all lanes.
DROP INDEX due_by_lane;
DROP INDEX due_by_turn;
CREATE INDEX due_by_turn ON due (lane, provider, user_id, at) WHERE holder IS NULL;

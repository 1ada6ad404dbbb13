-- Users take turns in status calls and deadlines too: one index serves all lanes.
DROP INDEX due_by_lane;
DROP INDEX due_by_turn;
CREATE INDEX due_by_turn ON due (lane, provider, user_id, at) WHERE holder IS NULL;

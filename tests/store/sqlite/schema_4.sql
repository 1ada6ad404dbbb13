-- A database as release 0.1.0 (schema 4) left it, killed in the midst of its work.
PRAGMA application_id = 1919121010;
PRAGMA user_version = 4;
BEGIN TRANSACTION;
CREATE TABLE api_keys (
    hash       TEXT PRIMARY KEY CHECK (length(hash) = 64),
    prefix     TEXT NOT NULL,
    user_id    INTEGER NOT NULL REFERENCES users (id),
    admin      INTEGER NOT NULL CHECK (admin IN (0, 1)),
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO "api_keys" VALUES('be6a520eabf7b8259f6709cb2aa549c2fa2075085a9a2650ded49686e2f7e017','rk_kept0kep',1,0,1795705180116,NULL);
CREATE TABLE attempts (
    delivery_id TEXT NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    n           INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    status_code INTEGER,
    error       TEXT,
    duration_ms INTEGER NOT NULL,
    excerpt     TEXT,
    PRIMARY KEY (delivery_id, n)
) STRICT, WITHOUT ROWID;
INSERT INTO "attempts" VALUES('msg_01M8C5X4A39R1Y9VQ0DTKZQH49',1,1795705180513,NULL,'no_address',3,NULL);
INSERT INTO "attempts" VALUES('msg_01M8C5X52GRD51PZ70RGQ1VH77',1,1795705181312,NULL,'no_address',1,NULL);
INSERT INTO "attempts" VALUES('msg_01M8C5X52GRD51PZ70RGQ1VH77',2,1795705186560,NULL,'no_address',1,NULL);
INSERT INTO "attempts" VALUES('msg_01M8C5XG5M7369PYJTQFP7RWDF',1,1795705192663,NULL,'no_address',2,NULL);
CREATE TABLE callbacks (
    id          INTEGER PRIMARY KEY,
    job_id      TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    provider    TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    digest      BLOB NOT NULL,
    verdict     TEXT NOT NULL
        CHECK (verdict IN ('waiting', 'applied', 'claimed', 'confirmed', 'denied', 'late',
                           'conflict', 'rejected', 'failed')),
    confirmed   INTEGER CHECK (confirmed IN (0, 1)),
    evidence    TEXT CHECK (evidence IN ('callback', 'poll', 'submit', 'deadline', 'user')),
    tries       INTEGER NOT NULL DEFAULT 0,
    headers     TEXT NOT NULL,
    body        BLOB NOT NULL
) STRICT;
INSERT INTO "callbacks" VALUES(1,'job_01M8C5X41QP3E2509F7MG0XVHE','sandbox',1795705180482,X'0FFD9916EF157EDF42DA1E7B3B425358C0A50A6E7F3B5B7DD66059CB56C70C1B','applied',NULL,'callback',0,'content-type: application/json',CAST('{"request_id":"352c7262497b4869b66c1e72","status":"IN_PROGRESS","progress":25,"message":"Processing..."}' AS BLOB));
INSERT INTO "callbacks" VALUES(2,'job_01M8C5X41QP3E2509F7MG0XVHE','sandbox',1795705180737,X'5F605873F6790C9C9D9B93D1DD6F757ED4ADC92C62CEAB3A978C7C0BDC16BE7F','applied',NULL,'callback',0,'content-type: application/json',CAST('{"request_id":"352c7262497b4869b66c1e72","status":"IN_PROGRESS","progress":50,"message":"Processing..."}' AS BLOB));
INSERT INTO "callbacks" VALUES(3,'job_01M8C5X41QP3E2509F7MG0XVHE','sandbox',1795705180983,X'0BAA39F3E50934B0CFFF4F9F38D4521FFF29C20D9B3D34E6725570975174947D','applied',NULL,'callback',0,'content-type: application/json',CAST('{"request_id":"352c7262497b4869b66c1e72","status":"IN_PROGRESS","progress":75,"message":"Processing..."}' AS BLOB));
INSERT INTO "callbacks" VALUES(4,'job_01M8C5X41QP3E2509F7MG0XVHE','sandbox',1795705181232,X'BF2A316B2FCBF45F3D21A85C13E644DE0C4A59444CF1C9315BA4561D0B81B051','confirmed',1,'poll',0,'content-type: application/json',CAST('{"request_id":"352c7262497b4869b66c1e72","status":"COMPLETED","progress":100,"result":{"videoUrl":"http://127.0.0.1:40257/results/352c7262497b4869b66c1e72.svg?expires=1796309981&signature=35a369755f1d204fcd4228d188f3b8e5"},"message":"All done!"}' AS BLOB));
INSERT INTO "callbacks" VALUES(5,'job_01M8C5X6C7BK485TQWTJS394SY','sandbox',1795705192623,X'F6566691A2BA71543AC1FC1068A969AFD220605BBAFC70C6DDFFE41ABFF7A7FB','applied',NULL,'callback',0,'content-type: application/json',CAST('{"request_id":"f4230fa1a7e55880fe57b042","status":"IN_PROGRESS","progress":25,"message":"Processing..."}' AS BLOB));
CREATE TABLE deliveries (
    id              TEXT PRIMARY KEY,
    job_id          TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    user_id         INTEGER NOT NULL,
    seq             INTEGER NOT NULL,
    status          TEXT NOT NULL,
    final           INTEGER NOT NULL CHECK (final IN (0, 1)),
    self_declared   INTEGER NOT NULL CHECK (self_declared IN (0, 1)),
    url             TEXT NOT NULL,
    host            TEXT NOT NULL,
    state           TEXT NOT NULL
        CHECK (state IN ('pending', 'delivered', 'skipped', 'exhausted', 'disabled')),
    step            INTEGER NOT NULL DEFAULT 0,
    -- Sent out of the job's order: an operator or the user asked for it again.
    retried         INTEGER NOT NULL DEFAULT 0 CHECK (retried IN (0, 1)),
    created_at      INTEGER NOT NULL,
    next_attempt_at INTEGER,
    delivered_at    INTEGER,
    holder          TEXT,
    held_until      INTEGER,
    body            BLOB NOT NULL,
    CHECK ((state = 'pending') = (next_attempt_at IS NOT NULL)),
    CHECK ((state = 'delivered') = (delivered_at IS NOT NULL)),
    CHECK ((holder IS NULL) = (held_until IS NULL)),
    CHECK (holder IS NULL OR state = 'pending'),
    UNIQUE (job_id, seq)
) STRICT;
INSERT INTO "deliveries" VALUES('msg_01M8C5X4A39R1Y9VQ0DTKZQH49','job_01M8C5X41QP3E2509F7MG0XVHE',1,4,'IN_PROGRESS',0,0,'https://hooks.example/in','hooks.example:443','skipped',1,0,1795705180483,NULL,NULL,NULL,NULL,CAST('{"request_id":"job_01M8C5X41QP3E2509F7MG0XVHE","status":"IN_PROGRESS","progress":25,"message":"Processing...","type":"job.in_progress","timestamp":"2026-11-26T14:59:40.483Z","seq":4,"kind":"create_movie","metadata":{"order":"1"},"error":null}' AS BLOB));
INSERT INTO "deliveries" VALUES('msg_01M8C5X52GRD51PZ70RGQ1VH77','job_01M8C5X41QP3E2509F7MG0XVHE',1,8,'COMPLETED',1,0,'https://hooks.example/in','hooks.example:443','pending',2,0,1795705181264,1795705493703,NULL,NULL,NULL,CAST('{"request_id":"job_01M8C5X41QP3E2509F7MG0XVHE","status":"COMPLETED","progress":100,"result":{"videoUrl":"http://127.0.0.1:40257/results/352c7262497b4869b66c1e72.svg?expires=1796309981&signature=35a369755f1d204fcd4228d188f3b8e5"},"message":"All done!","type":"job.completed","timestamp":"2026-11-26T14:59:41.264Z","seq":8,"kind":"create_movie","metadata":{"order":"1"},"error":null}' AS BLOB));
INSERT INTO "deliveries" VALUES('msg_01M8C5XG5M7369PYJTQFP7RWDF','job_01M8C5X6C7BK485TQWTJS394SY',1,4,'IN_PROGRESS',0,0,'https://hooks.example/in','hooks.example:443','pending',1,0,1795705192628,1795705197811,NULL,NULL,NULL,CAST('{"request_id":"job_01M8C5X6C7BK485TQWTJS394SY","status":"IN_PROGRESS","progress":25,"message":"Processing...","type":"job.in_progress","timestamp":"2026-11-26T14:59:52.628Z","seq":4,"kind":"create_movie","metadata":{},"error":null}' AS BLOB));
CREATE TABLE due (
    job_id     TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    lane       TEXT NOT NULL CHECK (lane IN ('submit', 'submitting', 'wait', 'confirm', 'poll')),
    at         INTEGER NOT NULL,
    holder     TEXT,
    held_until INTEGER, provider TEXT NOT NULL DEFAULT '', user_id INTEGER NOT NULL DEFAULT 0,
    CHECK ((holder IS NULL) = (held_until IS NULL))
) STRICT, WITHOUT ROWID;
INSERT INTO "due" VALUES('job_01M8C5X58VZD90VTBX7JX02HZ9','wait',1795708782481,NULL,NULL,'sandbox',1);
INSERT INTO "due" VALUES('job_01M8C5X6C7BK485TQWTJS394SY','poll',1795705212618,NULL,NULL,'sandbox',1);
INSERT INTO "due" VALUES('job_01M8C5XG6CHTJJRWH5Y9YR07HV','poll',1795705222663,NULL,NULL,'sandbox',1);
INSERT INTO "due" VALUES('job_01M8C5XG932CS1V0NZQPQD0E6Y','submitting',1795705267742,NULL,NULL,'sandbox',1);
INSERT INTO "due" VALUES('job_01M8C5XG9HJ6SQEHTME7NDA414','submit',1795705192753,'4f2526075bdbbe2c',1795705222753,'sandbox',1);
CREATE TABLE events (
    user_id INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    nonce   TEXT NOT NULL,
    job_id  TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    job_seq INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    data    BLOB NOT NULL,
    PRIMARY KEY (user_id, seq)
) STRICT;
INSERT INTO "events" VALUES(1,1,'41a0f3c9ae47','job_01M8C5X41QP3E2509F7MG0XVHE',1,1795705180215,CAST('{"request_id":"job_01M8C5X41QP3E2509F7MG0XVHE","user":"ann","provider":"sandbox","provider_request_id":null,"kind":"create_movie","status":"PENDING","phase":"queued","done":false,"progress":null,"seq":1,"result":null,"message":null,"error":null,"provider_status":null,"evidence":null,"metadata":{"order":"1"},"created_at":"2026-11-26T14:59:40.215Z","updated_at":"2026-11-26T14:59:40.215Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE","events":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/events","history":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/history","cancel":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,2,'b613e819c755','job_01M8C5X41QP3E2509F7MG0XVHE',2,1795705180219,CAST('{"request_id":"job_01M8C5X41QP3E2509F7MG0XVHE","user":"ann","provider":"sandbox","provider_request_id":null,"kind":"create_movie","status":"PENDING","phase":"submitting","done":false,"progress":null,"seq":2,"result":null,"message":null,"error":null,"provider_status":null,"evidence":null,"metadata":{"order":"1"},"created_at":"2026-11-26T14:59:40.215Z","updated_at":"2026-11-26T14:59:40.219Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE","events":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/events","history":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/history","cancel":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,3,'0d23d29e3aed','job_01M8C5X41QP3E2509F7MG0XVHE',3,1795705180231,CAST('{"request_id":"job_01M8C5X41QP3E2509F7MG0XVHE","user":"ann","provider":"sandbox","provider_request_id":"352c7262497b4869b66c1e72","kind":"create_movie","status":"PENDING","phase":"accepted","done":false,"progress":null,"seq":3,"result":null,"message":null,"error":null,"provider_status":null,"evidence":"submit","metadata":{"order":"1"},"created_at":"2026-11-26T14:59:40.215Z","updated_at":"2026-11-26T14:59:40.231Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE","events":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/events","history":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/history","cancel":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,4,'3609e7c37b88','job_01M8C5X41QP3E2509F7MG0XVHE',4,1795705180483,CAST('{"request_id":"job_01M8C5X41QP3E2509F7MG0XVHE","user":"ann","provider":"sandbox","provider_request_id":"352c7262497b4869b66c1e72","kind":"create_movie","status":"IN_PROGRESS","phase":"rendering","done":false,"progress":25,"seq":4,"result":null,"message":"Processing...","error":null,"provider_status":"IN_PROGRESS","evidence":"callback","metadata":{"order":"1"},"created_at":"2026-11-26T14:59:40.215Z","updated_at":"2026-11-26T14:59:40.483Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE","events":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/events","history":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/history","cancel":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,5,'e51c82bf47b3','job_01M8C5X41QP3E2509F7MG0XVHE',5,1795705180738,CAST('{"request_id":"job_01M8C5X41QP3E2509F7MG0XVHE","user":"ann","provider":"sandbox","provider_request_id":"352c7262497b4869b66c1e72","kind":"create_movie","status":"IN_PROGRESS","phase":"rendering","done":false,"progress":50,"seq":5,"result":null,"message":"Processing...","error":null,"provider_status":"IN_PROGRESS","evidence":"callback","metadata":{"order":"1"},"created_at":"2026-11-26T14:59:40.215Z","updated_at":"2026-11-26T14:59:40.738Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE","events":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/events","history":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/history","cancel":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,6,'d9f230df148f','job_01M8C5X41QP3E2509F7MG0XVHE',6,1795705180984,CAST('{"request_id":"job_01M8C5X41QP3E2509F7MG0XVHE","user":"ann","provider":"sandbox","provider_request_id":"352c7262497b4869b66c1e72","kind":"create_movie","status":"IN_PROGRESS","phase":"rendering","done":false,"progress":75,"seq":6,"result":null,"message":"Processing...","error":null,"provider_status":"IN_PROGRESS","evidence":"callback","metadata":{"order":"1"},"created_at":"2026-11-26T14:59:40.215Z","updated_at":"2026-11-26T14:59:40.984Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE","events":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/events","history":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/history","cancel":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,7,'8deefb0afcf4','job_01M8C5X41QP3E2509F7MG0XVHE',7,1795705181235,CAST('{"request_id":"job_01M8C5X41QP3E2509F7MG0XVHE","user":"ann","provider":"sandbox","provider_request_id":"352c7262497b4869b66c1e72","kind":"create_movie","status":"IN_PROGRESS","phase":"confirming","done":false,"progress":75,"seq":7,"result":null,"message":"Processing...","error":null,"provider_status":"IN_PROGRESS","evidence":"callback","metadata":{"order":"1"},"created_at":"2026-11-26T14:59:40.215Z","updated_at":"2026-11-26T14:59:41.235Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE","events":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/events","history":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/history","cancel":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,8,'ce705ea318a2','job_01M8C5X41QP3E2509F7MG0XVHE',8,1795705181264,CAST('{"request_id":"job_01M8C5X41QP3E2509F7MG0XVHE","user":"ann","provider":"sandbox","provider_request_id":"352c7262497b4869b66c1e72","kind":"create_movie","status":"COMPLETED","phase":"finished","done":true,"progress":100,"seq":8,"result":{"videoUrl":"http://127.0.0.1:40257/results/352c7262497b4869b66c1e72.svg?expires=1796309981&signature=35a369755f1d204fcd4228d188f3b8e5"},"message":"All done!","error":null,"provider_status":"COMPLETED","evidence":"callback","metadata":{"order":"1"},"created_at":"2026-11-26T14:59:40.215Z","updated_at":"2026-11-26T14:59:41.264Z","done_at":"2026-11-26T14:59:41.264Z","links":{"self":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE","events":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/events","history":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/history","cancel":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,9,'f9be58fc106b','job_01M8C5X5380DT2HVQDYH72VWHE',1,1795705181288,CAST('{"request_id":"job_01M8C5X5380DT2HVQDYH72VWHE","user":"ann","provider":"sandbox","provider_request_id":null,"kind":"create_movie","status":"PENDING","phase":"queued","done":false,"progress":null,"seq":1,"result":null,"message":null,"error":null,"provider_status":null,"evidence":null,"metadata":{},"created_at":"2026-11-26T14:59:41.288Z","updated_at":"2026-11-26T14:59:41.288Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5X5380DT2HVQDYH72VWHE","events":"/v1/jobs/job_01M8C5X5380DT2HVQDYH72VWHE/events","history":"/v1/jobs/job_01M8C5X5380DT2HVQDYH72VWHE/history","cancel":"/v1/jobs/job_01M8C5X5380DT2HVQDYH72VWHE/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,10,'e618b5206e92','job_01M8C5X5380DT2HVQDYH72VWHE',2,1795705181301,CAST('{"request_id":"job_01M8C5X5380DT2HVQDYH72VWHE","user":"ann","provider":"sandbox","provider_request_id":null,"kind":"create_movie","status":"CANCELLED","phase":"finished","done":true,"progress":null,"seq":2,"result":null,"message":null,"error":{"code":"canceled_by_user","message":"Canceled by its user.","retryable":false,"may_have_been_billed":false},"provider_status":null,"evidence":"user","metadata":{},"created_at":"2026-11-26T14:59:41.288Z","updated_at":"2026-11-26T14:59:41.301Z","done_at":"2026-11-26T14:59:41.301Z","links":{"self":"/v1/jobs/job_01M8C5X5380DT2HVQDYH72VWHE","events":"/v1/jobs/job_01M8C5X5380DT2HVQDYH72VWHE/events","history":"/v1/jobs/job_01M8C5X5380DT2HVQDYH72VWHE/history","cancel":"/v1/jobs/job_01M8C5X5380DT2HVQDYH72VWHE/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,11,'5c579bbaa2d7','job_01M8C5X58VZD90VTBX7JX02HZ9',1,1795705181467,CAST('{"request_id":"job_01M8C5X58VZD90VTBX7JX02HZ9","user":"ann","provider":"sandbox","provider_request_id":null,"kind":"create_movie","status":"PENDING","phase":"queued","done":false,"progress":null,"seq":1,"result":null,"message":null,"error":null,"provider_status":null,"evidence":null,"metadata":{},"created_at":"2026-11-26T14:59:41.467Z","updated_at":"2026-11-26T14:59:41.467Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5X58VZD90VTBX7JX02HZ9","events":"/v1/jobs/job_01M8C5X58VZD90VTBX7JX02HZ9/events","history":"/v1/jobs/job_01M8C5X58VZD90VTBX7JX02HZ9/history","cancel":"/v1/jobs/job_01M8C5X58VZD90VTBX7JX02HZ9/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,12,'ee19a9700397','job_01M8C5X58VZD90VTBX7JX02HZ9',2,1795705181475,CAST('{"request_id":"job_01M8C5X58VZD90VTBX7JX02HZ9","user":"ann","provider":"sandbox","provider_request_id":null,"kind":"create_movie","status":"PENDING","phase":"submitting","done":false,"progress":null,"seq":2,"result":null,"message":null,"error":null,"provider_status":null,"evidence":null,"metadata":{},"created_at":"2026-11-26T14:59:41.467Z","updated_at":"2026-11-26T14:59:41.475Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5X58VZD90VTBX7JX02HZ9","events":"/v1/jobs/job_01M8C5X58VZD90VTBX7JX02HZ9/events","history":"/v1/jobs/job_01M8C5X58VZD90VTBX7JX02HZ9/history","cancel":"/v1/jobs/job_01M8C5X58VZD90VTBX7JX02HZ9/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,13,'b0be68df85dc','job_01M8C5X58VZD90VTBX7JX02HZ9',3,1795705182481,CAST('{"request_id":"job_01M8C5X58VZD90VTBX7JX02HZ9","user":"ann","provider":"sandbox","provider_request_id":null,"kind":"create_movie","status":"PENDING","phase":"submit_unconfirmed","done":false,"progress":null,"seq":3,"result":null,"message":null,"error":null,"provider_status":null,"evidence":"submit","metadata":{},"created_at":"2026-11-26T14:59:41.467Z","updated_at":"2026-11-26T14:59:42.481Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5X58VZD90VTBX7JX02HZ9","events":"/v1/jobs/job_01M8C5X58VZD90VTBX7JX02HZ9/events","history":"/v1/jobs/job_01M8C5X58VZD90VTBX7JX02HZ9/history","cancel":"/v1/jobs/job_01M8C5X58VZD90VTBX7JX02HZ9/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,14,'0a896f88a977','job_01M8C5X6C7BK485TQWTJS394SY',1,1795705182599,CAST('{"request_id":"job_01M8C5X6C7BK485TQWTJS394SY","user":"ann","provider":"sandbox","provider_request_id":null,"kind":"create_movie","status":"PENDING","phase":"queued","done":false,"progress":null,"seq":1,"result":null,"message":null,"error":null,"provider_status":null,"evidence":null,"metadata":{},"created_at":"2026-11-26T14:59:42.599Z","updated_at":"2026-11-26T14:59:42.599Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5X6C7BK485TQWTJS394SY","events":"/v1/jobs/job_01M8C5X6C7BK485TQWTJS394SY/events","history":"/v1/jobs/job_01M8C5X6C7BK485TQWTJS394SY/history","cancel":"/v1/jobs/job_01M8C5X6C7BK485TQWTJS394SY/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,15,'44fe8f263627','job_01M8C5X6C7BK485TQWTJS394SY',2,1795705182607,CAST('{"request_id":"job_01M8C5X6C7BK485TQWTJS394SY","user":"ann","provider":"sandbox","provider_request_id":null,"kind":"create_movie","status":"PENDING","phase":"submitting","done":false,"progress":null,"seq":2,"result":null,"message":null,"error":null,"provider_status":null,"evidence":null,"metadata":{},"created_at":"2026-11-26T14:59:42.599Z","updated_at":"2026-11-26T14:59:42.607Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5X6C7BK485TQWTJS394SY","events":"/v1/jobs/job_01M8C5X6C7BK485TQWTJS394SY/events","history":"/v1/jobs/job_01M8C5X6C7BK485TQWTJS394SY/history","cancel":"/v1/jobs/job_01M8C5X6C7BK485TQWTJS394SY/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,16,'29e0a20488ec','job_01M8C5X6C7BK485TQWTJS394SY',3,1795705182618,CAST('{"request_id":"job_01M8C5X6C7BK485TQWTJS394SY","user":"ann","provider":"sandbox","provider_request_id":"f4230fa1a7e55880fe57b042","kind":"create_movie","status":"PENDING","phase":"accepted","done":false,"progress":null,"seq":3,"result":null,"message":null,"error":null,"provider_status":null,"evidence":"submit","metadata":{},"created_at":"2026-11-26T14:59:42.599Z","updated_at":"2026-11-26T14:59:42.618Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5X6C7BK485TQWTJS394SY","events":"/v1/jobs/job_01M8C5X6C7BK485TQWTJS394SY/events","history":"/v1/jobs/job_01M8C5X6C7BK485TQWTJS394SY/history","cancel":"/v1/jobs/job_01M8C5X6C7BK485TQWTJS394SY/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,17,'c919c5b2eca8','job_01M8C5X6C7BK485TQWTJS394SY',4,1795705192628,CAST('{"request_id":"job_01M8C5X6C7BK485TQWTJS394SY","user":"ann","provider":"sandbox","provider_request_id":"f4230fa1a7e55880fe57b042","kind":"create_movie","status":"IN_PROGRESS","phase":"rendering","done":false,"progress":25,"seq":4,"result":null,"message":"Processing...","error":null,"provider_status":"IN_PROGRESS","evidence":"callback","metadata":{},"created_at":"2026-11-26T14:59:42.599Z","updated_at":"2026-11-26T14:59:52.628Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5X6C7BK485TQWTJS394SY","events":"/v1/jobs/job_01M8C5X6C7BK485TQWTJS394SY/events","history":"/v1/jobs/job_01M8C5X6C7BK485TQWTJS394SY/history","cancel":"/v1/jobs/job_01M8C5X6C7BK485TQWTJS394SY/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,18,'23974ce06d4a','job_01M8C5XG6CHTJJRWH5Y9YR07HV',1,1795705192652,CAST('{"request_id":"job_01M8C5XG6CHTJJRWH5Y9YR07HV","user":"ann","provider":"sandbox","provider_request_id":null,"kind":"create_movie","status":"PENDING","phase":"queued","done":false,"progress":null,"seq":1,"result":null,"message":null,"error":null,"provider_status":null,"evidence":null,"metadata":{},"created_at":"2026-11-26T14:59:52.652Z","updated_at":"2026-11-26T14:59:52.652Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5XG6CHTJJRWH5Y9YR07HV","events":"/v1/jobs/job_01M8C5XG6CHTJJRWH5Y9YR07HV/events","history":"/v1/jobs/job_01M8C5XG6CHTJJRWH5Y9YR07HV/history","cancel":"/v1/jobs/job_01M8C5XG6CHTJJRWH5Y9YR07HV/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,19,'ae5b421f17e3','job_01M8C5XG6CHTJJRWH5Y9YR07HV',2,1795705192656,CAST('{"request_id":"job_01M8C5XG6CHTJJRWH5Y9YR07HV","user":"ann","provider":"sandbox","provider_request_id":null,"kind":"create_movie","status":"PENDING","phase":"submitting","done":false,"progress":null,"seq":2,"result":null,"message":null,"error":null,"provider_status":null,"evidence":null,"metadata":{},"created_at":"2026-11-26T14:59:52.652Z","updated_at":"2026-11-26T14:59:52.656Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5XG6CHTJJRWH5Y9YR07HV","events":"/v1/jobs/job_01M8C5XG6CHTJJRWH5Y9YR07HV/events","history":"/v1/jobs/job_01M8C5XG6CHTJJRWH5Y9YR07HV/history","cancel":"/v1/jobs/job_01M8C5XG6CHTJJRWH5Y9YR07HV/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,20,'4fa0b3a21156','job_01M8C5XG6CHTJJRWH5Y9YR07HV',3,1795705192663,CAST('{"request_id":"job_01M8C5XG6CHTJJRWH5Y9YR07HV","user":"ann","provider":"sandbox","provider_request_id":"570647ae68c2948c63fa3743","kind":"create_movie","status":"PENDING","phase":"accepted","done":false,"progress":null,"seq":3,"result":null,"message":null,"error":null,"provider_status":null,"evidence":"submit","metadata":{},"created_at":"2026-11-26T14:59:52.652Z","updated_at":"2026-11-26T14:59:52.663Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5XG6CHTJJRWH5Y9YR07HV","events":"/v1/jobs/job_01M8C5XG6CHTJJRWH5Y9YR07HV/events","history":"/v1/jobs/job_01M8C5XG6CHTJJRWH5Y9YR07HV/history","cancel":"/v1/jobs/job_01M8C5XG6CHTJJRWH5Y9YR07HV/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,21,'8c940f17a9ab','job_01M8C5XG932CS1V0NZQPQD0E6Y',1,1795705192739,CAST('{"request_id":"job_01M8C5XG932CS1V0NZQPQD0E6Y","user":"ann","provider":"sandbox","provider_request_id":null,"kind":"create_movie","status":"PENDING","phase":"queued","done":false,"progress":null,"seq":1,"result":null,"message":null,"error":null,"provider_status":null,"evidence":null,"metadata":{},"created_at":"2026-11-26T14:59:52.739Z","updated_at":"2026-11-26T14:59:52.739Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5XG932CS1V0NZQPQD0E6Y","events":"/v1/jobs/job_01M8C5XG932CS1V0NZQPQD0E6Y/events","history":"/v1/jobs/job_01M8C5XG932CS1V0NZQPQD0E6Y/history","cancel":"/v1/jobs/job_01M8C5XG932CS1V0NZQPQD0E6Y/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,22,'c2ddf391aaed','job_01M8C5XG932CS1V0NZQPQD0E6Y',2,1795705192747,CAST('{"request_id":"job_01M8C5XG932CS1V0NZQPQD0E6Y","user":"ann","provider":"sandbox","provider_request_id":null,"kind":"create_movie","status":"PENDING","phase":"submitting","done":false,"progress":null,"seq":2,"result":null,"message":null,"error":null,"provider_status":null,"evidence":null,"metadata":{},"created_at":"2026-11-26T14:59:52.739Z","updated_at":"2026-11-26T14:59:52.747Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5XG932CS1V0NZQPQD0E6Y","events":"/v1/jobs/job_01M8C5XG932CS1V0NZQPQD0E6Y/events","history":"/v1/jobs/job_01M8C5XG932CS1V0NZQPQD0E6Y/history","cancel":"/v1/jobs/job_01M8C5XG932CS1V0NZQPQD0E6Y/cancel"}}' AS BLOB));
INSERT INTO "events" VALUES(1,23,'b1803849dd76','job_01M8C5XG9HJ6SQEHTME7NDA414',1,1795705192753,CAST('{"request_id":"job_01M8C5XG9HJ6SQEHTME7NDA414","user":"ann","provider":"sandbox","provider_request_id":null,"kind":"create_movie","status":"PENDING","phase":"queued","done":false,"progress":null,"seq":1,"result":null,"message":null,"error":null,"provider_status":null,"evidence":null,"metadata":{},"created_at":"2026-11-26T14:59:52.753Z","updated_at":"2026-11-26T14:59:52.753Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5XG9HJ6SQEHTME7NDA414","events":"/v1/jobs/job_01M8C5XG9HJ6SQEHTME7NDA414/events","history":"/v1/jobs/job_01M8C5XG9HJ6SQEHTME7NDA414/history","cancel":"/v1/jobs/job_01M8C5XG9HJ6SQEHTME7NDA414/cancel"}}' AS BLOB));
CREATE TABLE idempotency_keys (
    user_id     INTEGER NOT NULL REFERENCES users (id),
    path        TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    job_id      TEXT NOT NULL,
    held_until  INTEGER,
    expires_at  INTEGER NOT NULL,
    status_code INTEGER,
    headers     TEXT,
    body        BLOB,
    CHECK ((status_code IS NULL) = (headers IS NULL)),
    CHECK ((status_code IS NULL) = (body IS NULL)),
    CHECK (status_code IS NULL OR held_until IS NULL),
    PRIMARY KEY (user_id, path, key)
) STRICT;
INSERT INTO "idempotency_keys" VALUES(1,'/v1/jobs','order-1','a8726efcf60e8ec2c9fbecb39263bf7cdcb37dcc600c265a483cfa6e06cdec4e','job_01M8C5X41QP3E2509F7MG0XVHE',NULL,1796309980215,202,'{"Content-Type":"application/json","Location":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE"}',CAST('{"request_id":"job_01M8C5X41QP3E2509F7MG0XVHE","user":"ann","provider":"sandbox","provider_request_id":null,"kind":"create_movie","status":"PENDING","phase":"queued","done":false,"progress":null,"seq":1,"result":null,"message":null,"error":null,"provider_status":null,"evidence":null,"metadata":{"order":"1"},"created_at":"2026-11-26T14:59:40.215Z","updated_at":"2026-11-26T14:59:40.215Z","done_at":null,"links":{"self":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE","events":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/events","history":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/history","cancel":"/v1/jobs/job_01M8C5X41QP3E2509F7MG0XVHE/cancel"}}' AS BLOB));
CREATE TABLE job_inputs (
    job_id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    input  TEXT NOT NULL
) STRICT;
INSERT INTO "job_inputs" VALUES('job_01M8C5X41QP3E2509F7MG0XVHE','{"prompt":"A lighthouse at dawn","image_model":"IMAGEN3","video_model":"LUMA","duration":30}');
INSERT INTO "job_inputs" VALUES('job_01M8C5X5380DT2HVQDYH72VWHE','{"prompt":"A lighthouse at dawn","image_model":"IMAGEN3","video_model":"LUMA","duration":30}');
INSERT INTO "job_inputs" VALUES('job_01M8C5X58VZD90VTBX7JX02HZ9','{"prompt":"A lighthouse at dawn","image_model":"IMAGEN3","video_model":"LUMA","duration":30}');
INSERT INTO "job_inputs" VALUES('job_01M8C5X6C7BK485TQWTJS394SY','{"prompt":"A lighthouse at dawn","image_model":"IMAGEN3","video_model":"LUMA","duration":30}');
INSERT INTO "job_inputs" VALUES('job_01M8C5XG6CHTJJRWH5Y9YR07HV','{"prompt":"A lighthouse at dawn","image_model":"IMAGEN3","video_model":"LUMA","duration":30}');
INSERT INTO "job_inputs" VALUES('job_01M8C5XG932CS1V0NZQPQD0E6Y','{"prompt":"A lighthouse at dawn","image_model":"IMAGEN3","video_model":"LUMA","duration":30}');
INSERT INTO "job_inputs" VALUES('job_01M8C5XG9HJ6SQEHTME7NDA414','{"prompt":"A lighthouse at dawn","image_model":"IMAGEN3","video_model":"LUMA","duration":30}');
CREATE TABLE job_metadata (
    user_id INTEGER NOT NULL,
    name    TEXT NOT NULL,
    value   TEXT NOT NULL,
    job_id  TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, name, value, job_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "job_metadata" VALUES(1,'order','1','job_01M8C5X41QP3E2509F7MG0XVHE');
CREATE TABLE jobs (
    id                  TEXT PRIMARY KEY,
    user_id             INTEGER NOT NULL REFERENCES users (id),
    provider            TEXT NOT NULL,
    kind                TEXT NOT NULL,
    status              TEXT NOT NULL
        CHECK (status IN ('PENDING', 'IN_PROGRESS', 'COMPLETED', 'FAILED', 'CANCELLED')),
    phase               TEXT NOT NULL
        CHECK (phase IN ('queued', 'submitting', 'submit_unconfirmed', 'accepted', 'rendering',
                         'confirming', 'finished')),
    seq                 INTEGER NOT NULL CHECK (seq >= 1),
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    progress            REAL CHECK (progress BETWEEN 0 AND 100),
    provider_status     TEXT,
    evidence            TEXT CHECK (evidence IN ('callback', 'poll', 'submit', 'deadline', 'user')),
    message             TEXT,
    result              TEXT,
    error_code          TEXT,
    error_message       TEXT,
    error_billed        INTEGER CHECK (error_billed IN (0, 1)),
    provider_request_id TEXT CHECK (length(provider_request_id) BETWEEN 1 AND 200),
    id_from_answer      INTEGER NOT NULL DEFAULT 0 CHECK (id_from_answer IN (0, 1)),
    done_at             INTEGER,
    accepted_at         INTEGER,
    unconfirmed_at      INTEGER,
    result_at           INTEGER,
    attempts            INTEGER NOT NULL DEFAULT 0,
    maybe_sent          INTEGER NOT NULL DEFAULT 0 CHECK (maybe_sent IN (0, 1)),
    refused_with        INTEGER,
    metadata            TEXT,
    webhook_url         TEXT,
    webhook_events      TEXT NOT NULL DEFAULT '',
    webhook_off         INTEGER NOT NULL DEFAULT 0 CHECK (webhook_off IN (0, 1)),
    tracking            TEXT, trace_context TEXT,

    CHECK ((phase = 'finished') = (status IN ('COMPLETED', 'FAILED', 'CANCELLED'))),
    CHECK ((phase = 'finished') = (done_at IS NOT NULL)),
    CHECK (phase NOT IN ('queued', 'submitting', 'submit_unconfirmed', 'accepted')
           OR status = 'PENDING'),
    CHECK (phase <> 'rendering' OR status = 'IN_PROGRESS'),
    CHECK ((status = 'COMPLETED') = (result IS NOT NULL)),
    CHECK ((status = 'COMPLETED') = (progress IS 100.0)),
    CHECK ((status IN ('FAILED', 'CANCELLED')) = (error_code IS NOT NULL)),
    CHECK ((error_code IS NULL) = (error_message IS NULL)),
    CHECK ((error_code IS NULL) = (error_billed IS NULL)),
    CHECK (phase <> 'submit_unconfirmed' OR unconfirmed_at IS NOT NULL),
    CHECK (phase NOT IN ('accepted', 'rendering') OR accepted_at IS NOT NULL)
) STRICT;
INSERT INTO "jobs" VALUES('job_01M8C5X41QP3E2509F7MG0XVHE',1,'sandbox','create_movie','COMPLETED','finished',8,1795705180215,1795705181264,100.0,'COMPLETED','callback','All done!','{"videoUrl":"http://127.0.0.1:40257/results/352c7262497b4869b66c1e72.svg?expires=1796309981&signature=35a369755f1d204fcd4228d188f3b8e5"}',NULL,NULL,NULL,'352c7262497b4869b66c1e72',1,1795705181264,1795705180231,NULL,1795705181264,1,1,NULL,'{"order":"1"}','https://hooks.example/in','IN_PROGRESS,COMPLETED,FAILED,CANCELLED',0,'{"polls":1}',NULL);
INSERT INTO "jobs" VALUES('job_01M8C5X5380DT2HVQDYH72VWHE',1,'sandbox','create_movie','CANCELLED','finished',2,1795705181288,1795705181301,NULL,NULL,'user',NULL,NULL,'canceled_by_user','Canceled by its user.',0,NULL,0,1795705181301,NULL,NULL,NULL,0,0,NULL,NULL,NULL,'IN_PROGRESS,COMPLETED,FAILED,CANCELLED',0,NULL,NULL);
INSERT INTO "jobs" VALUES('job_01M8C5X58VZD90VTBX7JX02HZ9',1,'sandbox','create_movie','PENDING','submit_unconfirmed',3,1795705181467,1795705182481,NULL,NULL,'submit',NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,1795705182481,NULL,1,1,NULL,NULL,NULL,'IN_PROGRESS,COMPLETED,FAILED,CANCELLED',0,NULL,NULL);
INSERT INTO "jobs" VALUES('job_01M8C5X6C7BK485TQWTJS394SY',1,'sandbox','create_movie','IN_PROGRESS','rendering',4,1795705182599,1795705192628,25.0,'IN_PROGRESS','callback','Processing...',NULL,NULL,NULL,NULL,'f4230fa1a7e55880fe57b042',1,NULL,1795705182618,NULL,NULL,1,1,NULL,NULL,'https://hooks.example/in','IN_PROGRESS,COMPLETED,FAILED,CANCELLED',0,NULL,NULL);
INSERT INTO "jobs" VALUES('job_01M8C5XG6CHTJJRWH5Y9YR07HV',1,'sandbox','create_movie','PENDING','accepted',3,1795705192652,1795705192663,NULL,NULL,'submit',NULL,NULL,NULL,NULL,NULL,'570647ae68c2948c63fa3743',1,NULL,1795705192663,NULL,NULL,1,1,NULL,NULL,NULL,'IN_PROGRESS,COMPLETED,FAILED,CANCELLED',0,NULL,NULL);
INSERT INTO "jobs" VALUES('job_01M8C5XG932CS1V0NZQPQD0E6Y',1,'sandbox','create_movie','PENDING','submitting',2,1795705192739,1795705192747,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,1,0,NULL,NULL,NULL,'IN_PROGRESS,COMPLETED,FAILED,CANCELLED',0,NULL,NULL);
INSERT INTO "jobs" VALUES('job_01M8C5XG9HJ6SQEHTME7NDA414',1,'sandbox','create_movie','PENDING','queued',1,1795705192753,1795705192753,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,0,0,NULL,NULL,NULL,'IN_PROGRESS,COMPLETED,FAILED,CANCELLED',0,NULL,NULL);
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE notes (
    id     INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    at     INTEGER NOT NULL,
    type   TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
INSERT INTO "notes" VALUES(1,'job_01M8C5X41QP3E2509F7MG0XVHE',1795705180231,'submission','{"outcome":"accepted","attempt":1,"provider_request_id":"352c7262497b4869b66c1e72"}');
INSERT INTO "notes" VALUES(2,'job_01M8C5X41QP3E2509F7MG0XVHE',1795705181264,'poll','{"provider_status":"COMPLETED","status":"COMPLETED"}');
INSERT INTO "notes" VALUES(3,'job_01M8C5X58VZD90VTBX7JX02HZ9',1795705182481,'submission','{"outcome":"unknown","reason":"no answer within 1 s","attempt":1}');
INSERT INTO "notes" VALUES(4,'job_01M8C5X6C7BK485TQWTJS394SY',1795705182618,'submission','{"outcome":"accepted","attempt":1,"provider_request_id":"f4230fa1a7e55880fe57b042"}');
INSERT INTO "notes" VALUES(5,'job_01M8C5XG6CHTJJRWH5Y9YR07HV',1795705192663,'submission','{"outcome":"accepted","attempt":1,"provider_request_id":"570647ae68c2948c63fa3743"}');
CREATE TABLE removed_events (
    user_id INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    nonce   TEXT NOT NULL,
    PRIMARY KEY (user_id, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE submission_holds (
    provider TEXT PRIMARY KEY,
    until    INTEGER NOT NULL
, state TEXT) STRICT, WITHOUT ROWID;
CREATE TABLE users (
    id                    INTEGER PRIMARY KEY,
    name                  TEXT NOT NULL UNIQUE,
    secret                TEXT NOT NULL,
    previous_secret       TEXT,
    previous_secret_until INTEGER,
    -- The user's own event log: how many events there were, the nonce of the latest (before the
    -- first: the origin's), the nonce of place 0, and how far retention has removed events.
    event_seq             INTEGER NOT NULL DEFAULT 0,
    event_nonce           TEXT NOT NULL,
    origin_nonce          TEXT NOT NULL,
    events_removed        INTEGER NOT NULL DEFAULT 0,
    CHECK (events_removed <= event_seq)
) STRICT;
INSERT INTO "users" VALUES(1,'ann','whsec_a2VwdAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',NULL,NULL,23,'b1803849dd76','e60096e52cda',0);
CREATE UNIQUE INDEX jobs_by_provider_id ON jobs (provider_request_id, provider)
    WHERE provider_request_id IS NOT NULL;
CREATE INDEX jobs_by_user ON jobs (user_id, id, created_at);
CREATE INDEX jobs_by_status ON jobs (user_id, status, id, created_at);
CREATE INDEX jobs_by_kind ON jobs (user_id, kind, id, created_at);
CREATE INDEX jobs_unfinished ON jobs (phase, created_at) WHERE phase <> 'finished';
CREATE INDEX jobs_unfinished_by_user ON jobs (user_id, id) WHERE phase <> 'finished';
CREATE INDEX jobs_by_end ON jobs (done_at) WHERE done_at IS NOT NULL;
CREATE INDEX job_metadata_by_job ON job_metadata (job_id);
CREATE INDEX due_by_lane ON due (lane, at);
CREATE INDEX due_held ON due (lane, held_until) WHERE holder IS NOT NULL;
CREATE VIEW job_rows AS
SELECT j.id, j.user_id, u.name AS user, j.provider, j.kind, j.created_at, j.metadata, j.webhook_url,
       j.webhook_events, j.webhook_off,
       j.status, j.phase, j.seq, j.updated_at, j.progress, j.provider_status, j.evidence, j.message,
       j.result, j.error_code, j.error_message, j.error_billed, j.provider_request_id,
       j.id_from_answer, j.done_at, j.accepted_at, j.unconfirmed_at, j.result_at, j.attempts,
       j.maybe_sent, j.refused_with, j.tracking,
       d.lane, d.at AS due_at, d.holder,
       EXISTS (SELECT 1 FROM callbacks c WHERE c.job_id = j.id AND c.verdict = 'waiting')
           AS callbacks_waiting
  FROM jobs j
  JOIN users u ON u.id = j.user_id
  LEFT JOIN due d ON d.job_id = j.id;
CREATE INDEX events_by_job ON events (job_id, seq);
CREATE UNIQUE INDEX callbacks_by_content ON callbacks (job_id, digest);
CREATE INDEX callbacks_waiting ON callbacks (id) WHERE verdict = 'waiting';
CREATE INDEX callbacks_waiting_by_job ON callbacks (job_id) WHERE verdict = 'waiting';
CREATE INDEX notes_by_job ON notes (job_id, id);
CREATE INDEX deliveries_pending ON deliveries (next_attempt_at, created_at)
    WHERE state = 'pending';
CREATE INDEX deliveries_pending_by_job ON deliveries (job_id, seq) WHERE state = 'pending';
CREATE INDEX deliveries_held ON deliveries (held_until) WHERE holder IS NOT NULL;
CREATE INDEX deliveries_by_user ON deliveries (user_id, id);
CREATE INDEX deliveries_by_state ON deliveries (user_id, state, id);
CREATE VIEW delivery_rows AS
SELECT id, job_id, user_id, status, seq, state, url, host, body, step, created_at, next_attempt_at,
       delivered_at,
       (SELECT json_group_array(json_array(at, status_code, error, duration_ms, excerpt))
          FROM (SELECT * FROM attempts WHERE delivery_id = deliveries.id ORDER BY n)) AS attempts
  FROM deliveries;
CREATE INDEX idempotency_by_expiry ON idempotency_keys (expires_at);
CREATE INDEX idempotency_by_job ON idempotency_keys (job_id);
CREATE INDEX idempotency_held ON idempotency_keys (held_until) WHERE held_until IS NOT NULL;
CREATE INDEX deliveries_places ON deliveries (user_id, host, next_attempt_at)
    WHERE state = 'pending';
CREATE INDEX deliveries_by_host ON deliveries (rtrim(host, '0123456789'), id, user_id);
CREATE INDEX deliveries_unfinished ON deliveries (state, id)
    WHERE state NOT IN ('delivered', 'skipped');
CREATE INDEX due_submissions ON due (provider, user_id, at)
    WHERE lane = 'submit' AND holder IS NULL;
COMMIT;

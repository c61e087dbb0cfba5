BEGIN TRANSACTION;
CREATE TABLE blocks (
	run TEXT NOT NULL,
	series TEXT NOT NULL,
	first_step BIGINT NOT NULL,
	last_step BIGINT NOT NULL,
	count BIGINT NOT NULL,
	columns TEXT NOT NULL,
	data BLOB NOT NULL,
	PRIMARY KEY (run, series, first_step)
);
INSERT INTO "blocks" VALUES('it-s-quoted-n-code-7k2p9x','train',1,5,5,'["loss", "kd"]',X'01000000000000000200000000000000030000000000000004000000000000000500000000000000555555555555D53F000000000000F03F555555555555E53F000000000000F87F000000000000F03F0000000000000840555555555555F53F0000000000001040ABAAAAAAAAAAFA3F0000000000001440');
CREATE TABLE checkpoints (
	run TEXT NOT NULL,
	step BIGINT NOT NULL,
	file TEXT NOT NULL,
	sha256 TEXT NOT NULL,
	bytes BIGINT NOT NULL,
	created_ns BIGINT NOT NULL,
	reason TEXT NOT NULL,
	accuracy FLOAT,
	PRIMARY KEY (run, step)
);
INSERT INTO "checkpoints" VALUES('it-s-quoted-n-code-7k2p9x',5,'checkpoints/0000000005.safetensors','78ff53e87e0f572b0118fe2f37106da8c69359412480821d5d4a548b0855b302',196,1700000011000000000,'pause',0.75);
CREATE TABLE commands (
	id INTEGER NOT NULL,
	run TEXT NOT NULL,
	created_ns BIGINT NOT NULL,
	who TEXT NOT NULL,
	kind TEXT NOT NULL,
	payload TEXT NOT NULL,
	state TEXT NOT NULL,
	step BIGINT,
	reason TEXT,
	PRIMARY KEY (id)
);
INSERT INTO "commands" VALUES(1,'it-s-quoted-n-code-7k2p9x',1700000005000000000,'ada','pause','{"note": "a;b\n''c''"}','applied',17,NULL);
INSERT INTO "commands" VALUES(2,'it-s-quoted-n-code-7k2p9x',1700000007000000000,'ada','stop','{}','waiting',NULL,NULL);
CREATE TABLE events (
	id INTEGER NOT NULL,
	run TEXT NOT NULL,
	step BIGINT NOT NULL,
	created_ns BIGINT NOT NULL,
	who TEXT NOT NULL,
	kind TEXT NOT NULL,
	payload TEXT NOT NULL,
	command BIGINT,
	PRIMARY KEY (id)
);
INSERT INTO "events" VALUES(1,'it-s-quoted-n-code-7k2p9x',17,1700000006000000000,'ada','pause','{"before": null, "after": 0.5}',1);
INSERT INTO "events" VALUES(2,'it-s-quoted-n-code-7k2p9x',0,1700000008000000000,'worker','started','{"steps": 60}',NULL);
CREATE TABLE meta (
	"key" TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY ("key")
);
INSERT INTO "meta" VALUES('version','1');
CREATE TABLE runs (
	id TEXT NOT NULL,
	name TEXT NOT NULL,
	role TEXT NOT NULL,
	"group" TEXT NOT NULL,
	parent TEXT,
	recipe TEXT,
	status TEXT NOT NULL,
	step BIGINT NOT NULL,
	steps BIGINT NOT NULL,
	activity TEXT,
	progress FLOAT,
	rate FLOAT,
	probe_share FLOAT,
	pace FLOAT,
	host TEXT,
	pid BIGINT,
	process_started FLOAT,
	owner TEXT,
	heartbeat_ns BIGINT,
	created_ns BIGINT NOT NULL,
	started_ns BIGINT,
	ended_ns BIGINT,
	experiment TEXT NOT NULL,
	options TEXT NOT NULL,
	teacher TEXT,
	protocol TEXT,
	result TEXT,
	error TEXT,
	PRIMARY KEY (id)
);
INSERT INTO "runs" VALUES('it-s-quoted-n-code-7k2p9x','It''s "quoted", ünïcode','student','it-s-quoted-n-code-7k2p9x',NULL,'quickstart','finished',5,0,NULL,NULL,2.5,NULL,NULL,'studio',4242,1700000000.0,'aaaaaaaaaaaaaaaa',1700000009000000000,1700000000000000000,1700000002000000000,NULL,'{"name": "It''s \"quoted\", \u00fcn\u00efcode", "seed": 0}','{"base": ".", "threads": 1}',NULL,'{"seed": 0}','{"steps": 5, "weights": "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"}',NULL);
INSERT INTO "runs" VALUES('fork-m3n4p5','fork','student','fork-m3n4p5','it-s-quoted-n-code-7k2p9x',NULL,'queued',0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1700000003000000000,NULL,NULL,'{"name": "fork"}','{}',NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES('it-s-quoted-n-code-7k2p9x-teacher','t','teacher','it-s-quoted-n-code-7k2p9x',NULL,NULL,'queued',0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1700000004000000000,NULL,NULL,'{}','{}',NULL,NULL,NULL,NULL);
CREATE TABLE snapshots (
	run TEXT NOT NULL,
	step BIGINT NOT NULL,
	file TEXT NOT NULL,
	bytes BIGINT NOT NULL,
	created_ns BIGINT NOT NULL,
	PRIMARY KEY (run, step)
);
INSERT INTO "snapshots" VALUES('it-s-quoted-n-code-7k2p9x',4,'snapshots/0000000004.safetensors',128,1700000010000000000);
CREATE TABLE teachers (
	"key" TEXT NOT NULL,
	weights TEXT NOT NULL,
	file TEXT NOT NULL,
	facts TEXT NOT NULL,
	created_ns BIGINT NOT NULL,
	PRIMARY KEY ("key")
);
INSERT INTO "teachers" VALUES('k1','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','teachers/k1/weights.safetensors','{"accuracy": 0.995}',1700000012000000000);
CREATE INDEX runs_by_group ON runs ("group");
CREATE INDEX runs_by_time ON runs (created_ns);
CREATE INDEX commands_waiting ON commands (run, state, id);
CREATE INDEX events_of_run ON events (run, step, id);
COMMIT;

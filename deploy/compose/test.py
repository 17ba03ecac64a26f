#!/usr/bin/env python3
"""Brings docker-compose.yml up for real, watches from outside, and kills each container in turn.

    make test-compose                  images made around programs built here (Debian 12)
    BUILD=1 make test-compose          images built by the Dockerfile itself (slow)

With PREVIOUS (a commit) and PREVIOUS_PROGRAMS (a folder with its programs) the platform of that commit is
brought up first, and this one then takes over its volumes; after it, volumes of the first release.

Needs root (or the right to use docker) and Linux. Everything runs under a Compose project of its own,
on loopback addresses and ports of its own, and is removed at the end.
"""

import hashlib
import http.cookiejar
import json
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

TOP = pathlib.Path(__file__).resolve().parents[2]
PROJECT = "braidcast-test"
# What listens on it is seen from elsewhere as from here: loopback of its own.
PUBLIC = "127.0.90.1"
VIEWER = "127.0.91.7"
PATIENCE = 120 * float(os.environ.get("PATIENCE", "1"))

COMPOSE = ["docker", "compose"]
if subprocess.run([*COMPOSE, "version"], capture_output=True).returncode != 0:
    COMPOSE = ["docker-compose"]


SERVICES = ["postgres", "redis", "auth", "rendezvous", "rendezvous-b", "headend", "repeater"]


def say(text):
    print(f"==> {text}", flush=True)


class Platform:
    def __init__(self, folder):
        self.folder = folder
        (folder / ".env").write_text(f"PUBLIC_ADDRESS={PUBLIC}\nPLATFORM=test-tv\n")

    def take(self, tree):
        """The checkout as an operator has it, from this tree."""
        shutil.copy(tree / "docker-compose.yml", self.folder)
        shutil.rmtree(self.folder / "deploy", ignore_errors=True)
        shutil.copytree(tree / "deploy", self.folder / "deploy")

    def images(self, programs):
        subprocess.run([self.folder / "deploy/compose/images.sh", programs], check=True, capture_output=True)

    def compose(self, *arguments, check=True, said=None):
        done = subprocess.run(
            [*COMPOSE, "-p", PROJECT, *arguments],
            cwd=self.folder, capture_output=True, text=True, input=said,
        )
        if check and done.returncode != 0:
            raise SystemExit(f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def container(self, service):
        return self.compose("ps", "-q", service).strip()

    def auth(self, *arguments, said=None):
        return self.compose("exec", "-T", "auth", "braidcast-auth", "--config",
                            "/run/braidcast/auth.toml", *arguments, said=said)

    def headend(self, *arguments, said=None):
        return self.compose("exec", "-T", "headend", "braidcast-headend", "--config",
                            "/run/braidcast/headend.toml", *arguments, said=said)

    def token(self):
        return self.compose("exec", "-T", "auth", "cat", "/run/credentials/administrator").strip()

    def healthy(self, *services):
        for service in services:
            until(f"{service} is healthy", lambda: "healthy" == inspect(
                self.container(service), "{{.State.Health.Status}}"))


def inspect(container, what):
    done = subprocess.run(["docker", "inspect", "-f", what, container],
                          capture_output=True, text=True)
    return done.stdout.strip()


def until(what, so, patience=PATIENCE):
    end = time.monotonic() + patience
    while not so():
        if time.monotonic() > end:
            raise SystemExit(f"FAILED: it does not come to be that {what}")
        time.sleep(0.25)


def get(url, token=None):
    request = urllib.request.Request(url)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


class Console:
    """The console as a browser uses it: forms, and a cookie."""

    def __init__(self, port, token):
        self.base = f"http://{PUBLIC}:{port}"
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(jar)
        self.post("/sign-in", token=token)

    def get(self, path):
        with self.opener.open(self.base + path, timeout=20) as reply:
            return reply.read().decode()

    def post(self, path, **form):
        data = urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(self.base + path, data, {"Origin": self.base})
        with self.opener.open(request, timeout=20) as reply:
            page = reply.read().decode()
        failed = re.search(r"<p class=failed[^>]*>([^<]*)", page)
        if failed:
            raise SystemExit(f"FAILED: the console says of {path}: {failed.group(1)}")
        return page


class Viewer:
    """`braidcast play --headless`, outside of all containers."""

    def __init__(self, folder, name, channel, user, password):
        self.folder = pathlib.Path(folder) / name
        self.folder.mkdir()
        secret = self.folder / "password"
        secret.write_text(password)
        config = self.folder / "viewer.toml"
        config.write_text(f'state = "{self.folder}/state"\n[network]\nbind = "{VIEWER}:0"\n')
        self.stats = self.folder / "stats.json"
        log = open(self.folder / "log", "w")
        self.process = subprocess.Popen(
            [os.environ.get("BRAIDCAST", TOP / "target/debug/braidcast"), "play", channel,
             "--headless", "--config", config, "--server", f"http://{PUBLIC}:7880",
             "--user", user, "--password-file", secret, "--stats-json", self.stats,
             "--http", "127.0.0.1:0"],
            stdout=log, stderr=log,
        )

    def figures(self):
        try:
            return json.loads(self.stats.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def played(self):
        figures = self.figures()
        return figures["segments"]["played"] if figures else 0

    def goes_on(self, what):
        if self.process.poll() is not None:
            raise SystemExit(f"FAILED: the viewer ended {what}: {(self.folder / 'log').read_text()}")
        before = self.played()
        until(f"the viewer plays on {what}", lambda: self.played() > before + 8)

    def end(self):
        self.process.terminate()
        self.process.wait(timeout=30)


# How long may pass, from the loss of a container until everything is well again.
WELL = 60
# What the loss of each may cost who watches: only the headend, here the sole source, may interrupt.
MAY_STALL = {"headend"}
AWAY = 12
# How soon a viewer plays again after what may interrupt it is back, seconds.
RECOVERY = 30


def disturb(platform, viewer, service):
    """Kills a container, and says what that did to the viewer and how long it took to be well."""
    before = viewer.figures()
    feeding = [parent["role"] for parent in before["substreams"]]
    print(f"    {before['partners']} partners, {before['standby']} standby, fed by "
          f"{', '.join(f'{feeding.count(role)} {role}' for role in sorted(set(feeding)))}", flush=True)
    container = platform.container(service)
    subprocess.run(["docker", "kill", container], check=True, capture_output=True)
    began = time.monotonic()
    # Whoever kills by hand has to start it by hand; a crash is restarted by its policy.
    course = []
    while time.monotonic() < began + AWAY:
        time.sleep(1)
        now = viewer.figures()
        parents = [parent["role"] for parent in now["substreams"]]
        course.append(f"{time.monotonic() - began:.0f} s: {now['segments']['played'] - before['segments']['played']} played, "
                      f"{now['stalls'] - before['stalls']} stalls, {len(parents)} sub-streams "
                      f"({', '.join(f'{parents.count(role)} {role}' for role in sorted(set(parents)))})")
    away = viewer.figures()
    subprocess.run(["docker", "start", container], check=True, capture_output=True)
    platform.healthy(service)
    well = time.monotonic() - began
    viewer.goes_on(f"after {service} was lost")
    # A stall is counted when it is over.
    time.sleep(3)
    after = viewer.figures()
    stalls, stalled = after["stalls"] - before["stalls"], after["stall_ms"] - before["stall_ms"]
    causes = {cause: count - before["stall_causes"].get(cause, 0) for cause, count in after["stall_causes"].items()}
    causes = {cause: count for cause, count in causes.items() if count}
    lost = after["segments"]["lost"] - before["segments"]["lost"]
    said = (f"{service} killed: away {AWAY} s, healthy after {well:.0f} s; {stalls} stalls, {stalled:.0f} ms, "
            f"{lost} segments lost {causes or ''}")
    say(said)
    wrong = []
    if service not in MAY_STALL:
        played = away["segments"]["played"] - before["segments"]["played"]
        if stalls or lost:
            wrong.append(f"the viewer stalled while {service} was away")
        if played < (AWAY - 3) * 4:
            wrong.append(f"only {played} segments were played while {service} was away")
    elif stalled > (AWAY + RECOVERY) * 1000:
        wrong.append(f"the viewer played again only {stalled / 1000 - AWAY:.0f} s after {service} was back")
    if well > AWAY + WELL:
        wrong.append(f"{service} was not healthy for {well:.0f} s")
    if wrong:
        print("\n".join(course))
        said += f"  FAILED: {'; '.join(wrong)}"
    return said


def observed(platform, folder, viewers, viewer, password):
    """Prometheus as the profile `observability` has it, from the system: every rule and panel gives something."""
    program = shutil.which("prometheus")
    if program is None:
        return say("skipped: no prometheus here, so no rule and no panel was looked at")
    say("every alert rule and every panel asks for figures that exist")
    config = platform.compose("exec", "-T", "auth", "cat", "/run/braidcast/prometheus.yml")
    alerts = "/etc/prometheus/alerts.yml"
    assert alerts in config
    config = config.replace(alerts, str(platform.folder / "deploy/observability/alerts.yml"))
    place = f"{PUBLIC}:9090"
    (folder / "prometheus.yml").write_text(config)
    with open(folder / "prometheus.log", "w") as log:
        process = subprocess.Popen(
            [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/prometheus",
             f"--web.listen-address={place}"], stdout=log, stderr=log)
    try:
        check = [TOP / "deploy/observability/check.py", f"http://{place}"]
        # Rates are of two looks at least, ten seconds apart, and of what happens between them.
        time.sleep(25)
        plays(folder, viewers, "observed", "test", "demo", password).end()
        until("all rules and panels have figures",
              lambda: subprocess.run(check, capture_output=True).returncode == 0 or process.poll() is not None)
        viewer.goes_on("while it was watched")
    except SystemExit:
        subprocess.run(check)
        print((folder / "prometheus.log").read_text()[-2000:])
        raise
    finally:
        process.terminate()
        process.wait(timeout=30)


def set_up(platform):
    """Up for the first time; gives the sample user's password."""
    began = time.monotonic()
    platform.compose("up", "-d")
    platform.healthy(*SERVICES)
    say(f"everything is healthy after {time.monotonic() - began:.0f} s")
    welcome = platform.compose("logs", "--no-color", "welcome")
    print(welcome)
    assert f"http://{PUBLIC}:7880" in welcome
    return re.search(r"with the password +([0-9a-f]+)", welcome).group(1)


def plays(folder, viewers, name, channel, user, password):
    viewer = Viewer(folder, name, channel, user, password)
    viewers.append(viewer)
    until(f"{user} plays {channel}", lambda: viewer.played() > 8)
    return viewer


def identity():
    """What must outlast an upgrade: who the servers are, and the key of the channel."""
    known = get(f"http://{PUBLIC}:7880/.well-known/braidcast")
    return sorted(server["peer_id"] for server in known["rendezvous"])


def documented(platform, place):
    """Runs the commands of such a block (from 0) of the operator's guide as they stand there."""
    guide = (TOP / "docs/operator.md").read_text().split("## Backup and restore")[1].split("\n## ")[0]
    block = re.findall(r"```sh\n(.*?)```", guide, re.DOTALL)[place]
    script = block.replace("docker compose", " ".join(COMPOSE))
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=platform.folder, check=True,
                   env={**os.environ, "COMPOSE_PROJECT_NAME": PROJECT})


def restored(platform, save, restore):
    """A backup by the guide's commands, everything thrown away, and back again."""
    say("a backup, an empty machine, and back again, by the commands of the guide")
    documented(platform, save)
    platform.healthy("auth")
    platform.compose("down", "-v", "--remove-orphans")
    documented(platform, restore)
    platform.healthy(*SERVICES)


def swarms(token, port=7881):
    return {(swarm["channel"], swarm["id"]) for swarm in get(f"http://{PUBLIC}:{port}/v1/swarms", token)["swarms"]
            if swarm["live"]}


def story(folder, viewers):
    platform = Platform(folder)
    platform.take(TOP)
    if os.environ.get("BUILD"):
        say("building the images")
        subprocess.run([*COMPOSE, "-f", TOP / "docker-compose.yml", "build"], cwd=TOP, check=True)
    say("up, for the first time")
    password = set_up(platform)
    for service in SERVICES[2:]:
        user = inspect(platform.container(service), "{{.Config.User}}")
        assert user == "braidcast", f"{service} runs as {user!r}"
    token = platform.token()

    say("the sample user watches the sample channel")
    plays(folder, viewers, "first", "test", "demo", password).end()

    say("where a viewer is follows from its address, which no container hides")
    platform.auth("prefix", "add", "127.0.91.0/24", "--subset", "91", "--asn", "64591", "--country", "CH")
    section = 'name = "Second"\nmode = "encode"\nsource = { kind = "test" }\n' \
              "video = { width = 320, height = 180, bitrate_kbit = 500 }\n"
    say("one more user and one more channel by command line")
    platform.auth("user", "add", "berta", "--package", "all", said="a good password\n")
    assert "second is set" in platform.headend("channel", "set", "second", said=section)
    viewer = plays(folder, viewers, "second", "second", "berta", "a good password")
    say("and by the console")
    console = Console(7891, token)
    console.post("/accounts", act="add", user="carla", password="a good password", packages="all")
    page = console.get("/channels")
    headend = re.search(r"<option value=([\w-]{43})>", page).group(1)
    console.post("/channels", act="set", headend=headend, id="third", name="Third", kind="test", place="",
                 mode="encode", width="320", height="180", bitrate="500", more="")
    plays(folder, viewers, "third", "third", "carla", "a good password").end()
    assert "channel set" in console.get("/audit") and "user added" in console.get("/audit")
    # One channel fewer to encode from here on.
    console.post("/channels", act="remove", headend=headend, id="third")

    known = {"test", "second"}
    until("both servers know both channels and no third",
          lambda: all({channel for channel, _ in swarms(token, port)} == known for port in (7881, 7891)))
    assert swarms(token, 7881) == swarms(token, 7891), "one map"
    sessions = [session for port in (7881, 7891)
                for session in get(f"http://{PUBLIC}:{port}/v1/sessions", token)["sessions"]]
    where = [session["location"] for session in sessions
             if session["role"] == "viewer" and session["watching"]]
    assert where == [{"subset": 91, "asn": 64591, "country": "CH"}], where

    observed(platform, folder, viewers, viewer, password)
    results = [disturb(platform, viewer, service)
               for service in ["auth", "rendezvous", "rendezvous-b", "redis", "postgres", "repeater", "headend"]]

    say("after all that: somebody new, and the two servers agree")
    third = plays(folder, viewers, "fourth", "test", "demo", password)

    def agree():
        counts = [sorted((s["channel"], s["nodes"]["viewer"], s["nodes"]["repeater"])
                         for s in get(f"http://{PUBLIC}:{port}/v1/swarms", token)["swarms"])
                  for port in (7881, 7891)]
        return counts[0] == counts[1] and sum(count[1] for count in counts[0]) == 2
    until("both servers show the same", agree)

    say("down and up again: accounts, channels and keys are still there")
    before = (identity(), swarms(token))
    for one in (viewer, third):
        one.end()
    platform.compose("stop")
    platform.compose("up", "-d")
    platform.healthy(*SERVICES)
    plays(folder, viewers, "last", "second", "berta", "a good password")
    until("everybody and everything has its name of before", lambda: (identity(), swarms(token)) == before)
    restored(platform, 0, 1)
    assert "127.0.91.0/24" in platform.auth("prefix", "list")
    plays(folder, viewers, "restored", "second", "berta", "a good password").end()
    plays(folder, viewers, "restored-demo", "test", "demo", password).end()
    until("everybody and everything has its name of before", lambda: (identity(), swarms(token)) == before)
    print("\n".join(["", "What killing each container did to a running viewer:", *results]))
    if any("FAILED" in result for result in results):
        raise SystemExit("FAILED: see above")


def upgrade(folder, viewers):
    previous, programs = os.environ["PREVIOUS"], os.environ["PREVIOUS_PROGRAMS"]
    say(f"the platform of {previous}")
    tree = folder / "previous"
    tree.mkdir()
    archive = subprocess.run(["git", "archive", previous, "docker-compose.yml", "deploy"],
                             cwd=TOP, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", tree], input=archive, check=True)
    platform = Platform(folder)
    platform.take(tree)
    platform.images(programs)
    password = set_up(platform)
    platform.auth("user", "add", "berta", "--package", "all", said="a good password\n")
    platform.auth("prefix", "add", "127.0.91.0/24", "--subset", "91", "--asn", "64591", "--country", "CH")
    plays(folder, viewers, "before", "test", "berta", "a good password").end()
    before = (identity(), swarms(platform.token()))

    say("this one on its volumes")
    platform.take(TOP)
    platform.images(TOP / "target/debug")
    began = time.monotonic()
    platform.compose("up", "-d")
    platform.healthy(*SERVICES)
    say(f"everything is healthy {time.monotonic() - began:.0f} s after `up`")
    plays(folder, viewers, "after", "test", "berta", "a good password").end()
    plays(folder, viewers, "after-demo", "test", "demo", password).end()
    until("everybody and everything has its name of before",
          lambda: (identity(), swarms(platform.token())) == before)
    assert "127.0.91.0/24" in platform.auth("prefix", "list")
    platform.headend("channel", "set", "second", said='name = "Second"\nsource = { kind = "test" }\n'
                     "video = { width = 320, height = 180, bitrate_kbit = 500 }\n")
    plays(folder, viewers, "after-second", "second", "berta", "a good password").end()
    platform.compose("down", "-v", "--remove-orphans")


def first_release(folder, viewers):
    """Volumes of the first release: accounts in SQLite, one rendezvous."""
    say("this one on volumes of the first release, with accounts in SQLite")
    file = folder / "auth.db"
    first = (TOP / "migrations/sqlite/0001_first.sql").read_text()
    database = sqlite3.connect(file)
    database.executescript(first)
    database.execute("CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, "
                     "installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, "
                     "checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)")
    database.execute("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) "
                     "VALUES (1, 'first', 1, ?, 0)", (hashlib.sha384(first.encode()).digest(),))
    database.executescript((TOP / "auth/tests/behaviour/first.sql").read_text())
    database.execute("INSERT INTO packages VALUES ('all', 1795959397)")
    database.execute("INSERT INTO package_channels VALUES ('all', '*')")
    database.execute("INSERT INTO account_packages VALUES ('v3afa_27iN4e3m5GfjNRlw', 'all')")
    database.commit()
    database.close()
    platform = Platform(folder)
    platform.take(TOP)
    for volume, script in [
        ("auth", "cat >/var/lib/braidcast/auth.db"),
        ("credentials", "umask 077; cat >/dev/null; for name in rendezvous headend repeater administrator channel-secret; do "
                        "od -An -tx1 -N32 /dev/urandom | tr -d ' \\n' >/run/credentials/$name; done"),
    ]:
        place = "/var/lib/braidcast" if volume == "auth" else "/run/credentials"
        subprocess.run(["docker", "run", "--rm", "-i", "--user", "braidcast", "-v", f"{PROJECT}_{volume}:{place}",
                        "braidcast/platform", "bash", "-c", script], input=file.read_bytes(), check=True)
    platform.compose("up", "-d")
    platform.healthy(*SERVICES)
    plays(folder, viewers, "of-old", "test", "anna", "correct horse").end()
    assert "auth.db" in platform.compose("exec", "-T", "auth", "ls", "/var/lib/braidcast")
    before = identity()
    restored(platform, 2, 3)
    plays(folder, viewers, "of-old-restored", "test", "anna", "correct horse").end()
    assert identity() == before
    assert "auth.db" in platform.compose("exec", "-T", "auth", "ls", "/var/lib/braidcast")


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="braidcast-compose-"))
    viewers = []
    try:
        if os.environ.get("PREVIOUS"):
            upgrade(folder, viewers)
            first_release(folder, viewers)
        else:
            story(folder, viewers)
    except BaseException:
        platform = Platform(folder)
        for service in ("prepare", "auth", "welcome", "rendezvous", "rendezvous-b", "headend", "repeater"):
            print(platform.compose("logs", "--no-color", "--tail", "15", service, check=False))
        for one in viewers:
            print((one.folder / "log").read_text()[-3000:])
        raise
    finally:
        for one in viewers:
            if one.process.poll() is None:
                one.end()
        Platform(folder).compose("down", "-v", "--remove-orphans", check=False)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

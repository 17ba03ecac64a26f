#!/usr/bin/env python3
"""Brings docker-compose.yml up for real, watches from outside, and kills each container in turn.

    make test-compose                  images made around programs built here (Debian 12)
    BUILD=1 make test-compose          images built by the Dockerfile itself (slow)

Needs root (or the right to use docker) and Linux. Everything runs under a Compose project of its own,
on loopback addresses and ports of its own, and is removed at the end.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
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


def say(text):
    print(f"==> {text}", flush=True)


class Platform:
    def __init__(self, folder):
        self.folder = folder
        # The checkout as an operator has it, with one more channel.
        shutil.copy(TOP / "docker-compose.yml", folder)
        shutil.copytree(TOP / "deploy", folder / "deploy")
        (folder / ".env").write_text(f"PUBLIC_ADDRESS={PUBLIC}\nPLATFORM=test-tv\n")
        headend = folder / "deploy/compose/headend.toml"
        channel = headend.read_text().split("[[channels]]")[1]
        channel = channel.replace('id = "test"', 'id = "second"').replace("Test picture", "Second")
        channel = channel.replace("channel-secret", "channel-secret-2")
        self.second = f"\n[[channels]]{channel}"
        self.headend = headend

    def compose(self, *arguments, check=True):
        done = subprocess.run(
            [*COMPOSE, "-p", PROJECT, *arguments],
            cwd=self.folder, capture_output=True, text=True,
        )
        if check and done.returncode != 0:
            raise SystemExit(f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def container(self, service):
        return self.compose("ps", "-q", service).strip()

    def auth(self, *arguments):
        return self.compose("exec", "-T", "auth", "braidcast-auth", "--config",
                            "/run/braidcast/auth.toml", *arguments)

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


def disturb(platform, viewer, service, playing):
    """Kills a container, and says what that did to the viewer and how long it took to be well."""
    before = viewer.figures()
    container = platform.container(service)
    subprocess.run(["docker", "kill", container], check=True, capture_output=True)
    began = time.monotonic()
    # Whoever kills by hand has to start it by hand; a crash is restarted by its policy.
    time.sleep(8)
    away = viewer.figures()
    subprocess.run(["docker", "start", container], check=True, capture_output=True)
    platform.healthy(service)
    well = time.monotonic() - began
    viewer.goes_on(f"after {service} was lost")
    after = viewer.figures()
    stalls, stalled = after["stalls"] - before["stalls"], after["stall_ms"] - before["stall_ms"]
    said = f"{service} killed: away 8 s, healthy after {well:.0f} s; {stalls} stalls, {stalled:.0f} ms"
    say(said)
    if playing:
        # Deadlines are kept: what was played while it was away is what 8 s hold (32 segments).
        played = away["segments"]["played"] - before["segments"]["played"]
        if played < 16:
            raise SystemExit(f"FAILED: only {played} segments were played while {service} was away")
    return said


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="braidcast-compose-"))
    platform = Platform(folder)
    viewers = []
    try:
        if os.environ.get("BUILD"):
            say("building the images")
            subprocess.run([*COMPOSE, "-f", TOP / "docker-compose.yml", "build"], cwd=TOP, check=True)
        say("up, for the first time")
        began = time.monotonic()
        platform.compose("up", "-d")
        services = ["postgres", "redis", "auth", "rendezvous", "rendezvous-b", "headend", "repeater"]
        platform.healthy(*services)
        say(f"everything is healthy after {time.monotonic() - began:.0f} s")
        welcome = platform.compose("logs", "--no-color", "welcome")
        print(welcome)
        password = re.search(r"with the password +([0-9a-f]+)", welcome).group(1)
        assert f"http://{PUBLIC}:7880" in welcome

        for service in services[2:]:
            user = inspect(platform.container(service), "{{.Config.User}}")
            assert user == "braidcast", f"{service} runs as {user!r}"
        token = platform.compose("exec", "-T", "auth", "cat", "/run/credentials/administrator").strip()

        say("the sample user watches the sample channel")
        first = Viewer(folder, "first", "test", "demo", password)
        viewers.append(first)
        until("the sample channel plays", lambda: first.played() > 8)
        first.end()

        say("where a viewer is follows from its address, which no container hides")
        platform.auth("prefix", "add", "127.0.91.0/24", "--subset", "91", "--asn", "64591", "--country", "CH")
        say("one more user by command line, one more channel")
        secret = folder / "words"
        secret.write_text("a good password")
        subprocess.run([*COMPOSE, "-p", PROJECT, "exec", "-T", "auth", "braidcast-auth", "--config",
                        "/run/braidcast/auth.toml", "user", "add", "berta", "--package", "all"],
                       cwd=folder, input="a good password\n", text=True, check=True, capture_output=True)
        platform.headend.write_text(platform.headend.read_text() + platform.second)
        platform.compose("exec", "-T", "auth", "true")
        subprocess.run(["docker", "run", "--rm", "--user", "braidcast", "-v",
                        f"{PROJECT}_credentials:/run/credentials", "braidcast/platform", "bash", "-c",
                        "umask 077; od -An -tx1 -N32 /dev/urandom | tr -d ' \\n' >/run/credentials/channel-secret-2"],
                       check=True)
        platform.compose("up", "-d", "--no-deps", "--force-recreate", "prepare")
        until("the configuration was made again",
              lambda: inspect(platform.compose("ps", "-q", "prepare").strip(), "{{.State.Status}}") == "exited")
        platform.compose("restart", "headend")
        platform.healthy("headend")

        viewer = Viewer(folder, "second", "second", "berta", "a good password")
        viewers.append(viewer)
        until("the new channel plays", lambda: viewer.played() > 8)
        maps = [get(f"http://{PUBLIC}:{port}/v1/swarms", token) for port in (7881, 7891)]
        assert {swarm["channel"] for swarm in maps[0]["swarms"]} == {"test", "second"}
        assert maps[0]["swarms"][0]["id"] == maps[1]["swarms"][0]["id"], "one map"
        sessions = [session for port in (7881, 7891)
                    for session in get(f"http://{PUBLIC}:{port}/v1/sessions", token)["sessions"]]
        where = [session["location"] for session in sessions if session["role"] == "viewer"]
        assert where == [{"subset": 91, "asn": 64591, "country": "CH"}], where

        results = [disturb(platform, viewer, service, playing=service != "headend")
                   for service in ["auth", "rendezvous", "rendezvous-b", "redis", "postgres",
                                   "repeater", "headend"]]

        say("after all that: somebody new, and the two servers agree")
        third = Viewer(folder, "third", "test", "demo", password)
        viewers.append(third)
        until("a new viewer plays", lambda: third.played() > 8)

        def agree():
            counts = [sorted((s["channel"], s["nodes"]["viewer"], s["nodes"]["repeater"])
                             for s in get(f"http://{PUBLIC}:{port}/v1/swarms", token)["swarms"])
                      for port in (7881, 7891)]
            return counts[0] == counts[1] and sum(count[1] for count in counts[0]) == 2
        until("both servers show the same", agree)

        say("down and up again: accounts and keys are still there")
        for one in (viewer, third):
            one.end()
        platform.compose("stop")
        platform.compose("up", "-d")
        platform.healthy(*services)
        last = Viewer(folder, "last", "second", "berta", "a good password")
        viewers.append(last)
        until("the user of before plays", lambda: last.played() > 8)
        print("\n".join(["", "What killing each container did to a running viewer:", *results]))
    except BaseException:
        for service in ("prepare", "auth", "welcome", "rendezvous", "rendezvous-b", "headend", "repeater"):
            print(platform.compose("logs", "--no-color", "--tail", "15", service, check=False))
        for one in viewers:
            print((one.folder / "log").read_text()[-3000:])
        raise
    finally:
        for one in viewers:
            if one.process.poll() is None:
                one.end()
        platform.compose("down", "-v", "--remove-orphans", check=False)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

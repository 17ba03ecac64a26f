"""Tries what may go wrong, and says what the viewer reads then, how soon, and how soon the picture is back.

Arguments: the program, auth's address, user, password, a folder for its state, a folder for pictures of what was shown.
Started by the ignored test `failures` of tests/system/window.rs (`make failures`), in a network namespace of its own whose
line `eth0` leads to the platform. PART=headend,disk: of what happens while watching, these alone (PART=none: nothing). A line that begins with "stage: " asks the test for something.
"""

import os
import subprocess
import sys
import time

from window import counted, figures, picture, run, showing, wait

program, server, user, password, folder, out = sys.argv[1:7]
CACHE = os.path.join(folder, "cache")
SETTINGS = os.path.join(folder, "settings.toml")
turn = 0


def say(text):
    print(text, flush=True)


def stage(wish):
    """Asks the test for something; what comes of it is seen in the window."""
    say(f"stage: {wish}")


def line(state):
    subprocess.run(["ip", "link", "set", "dev", "eth0", state], check=True)
    if state == "up":
        subprocess.run(["ip", "route", "replace", "default", "via", "192.168.1.1"], check=True)


def moves(window):
    """Whether the picture moves: what it shows is something, and something else a moment later."""
    area = window.wait("Picture")
    first = window.pixels(area)
    time.sleep(0.4)
    pairs = [pair for rows in zip(first[8:40], window.pixels(area)[8:40]) for pair in zip(*rows)]
    bright = sum(max(pixel) > 40 for pixel, _ in pairs)
    changed = sum(any(abs(a - b) > 16 for a, b in zip(*pair)) for pair in pairs)
    return bright > len(pairs) // 8 and changed > len(pairs) // 100


def stalls():
    return wait("the program's figures", lambda: figures(folder) or None)["stalls"]


def goes_on(window, before):
    """What is watched was not interrupted. Some pictures of the clip hardly differ for a second."""
    wait("a picture that moves", lambda: moves(window), 4)
    assert stalls() == before, f"{stalls()} interruptions, {before} before"


def plays(window, since, what):
    wait("a picture that moves", lambda: moves(window))
    say(f"    {time.monotonic() - since:5.1f} s  {what}")


def reads(window, text, since, name):
    """Waits for a text, and says it with what stands below it, as the viewer reads it."""
    def found():
        shown = [node.name for node in window.all() if node.name and showing(node)]
        for place, words in enumerate(shown):
            if words.startswith(text):
                # Over the picture both stand in one text, elsewhere one after the other.
                return words.replace("\n", " ") if "\n" in words or place + 1 == len(shown) else f"{words} {shown[place + 1]}"
        return None
    words = wait(f"the words {text!r}", found)
    took = time.monotonic() - since
    # What stands below it has its place a moment later.
    time.sleep(0.3)
    say(f"    {took:5.1f} s  “{found() or words}”")
    global turn
    turn += 1
    time.sleep(0.6)
    picture(os.path.join(out, f"{turn:02}-{name}.png"))


def stays_away(window, text, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert not any(node.name.startswith(text) and showing(node) for node in window.all()), text
        time.sleep(0.5)


def signing_in(window):
    say("Wrong server, then wrong password")
    since = time.monotonic()
    window.sign_in("https://127.0.0.1:9", user, "wrong")
    reads(window, "No television platform answers", since, "wrong-server")
    window.fill("Server", server)
    since = time.monotonic()
    window.press("Sign in")
    reads(window, "The user name or the password is wrong.", since, "wrong-password")
    window.fill("Password", password)
    since = time.monotonic()
    window.press("Sign in")
    window.press("No, only watch")
    plays(window, since, "after the right password (and the question about sharing) the picture moves")
    say("No sound device (this machine has none)")
    reads(window, "There is no sound device", since, "no-sound")
    window.press("Put this message away")


def no_network(window):
    say("The network goes away for 20 s")
    since = time.monotonic()
    line("down")
    reads(window, "There is no connection to the platform.", since, "no-network")
    time.sleep(max(0.0, 20 - (time.monotonic() - since)))
    since = time.monotonic()
    line("up")
    plays(window, since, "after it is back the picture moves")
    window.gone("There is no connection to the platform.")


def headend(window):
    say("The headend is killed, and started again after 10 s")
    since = time.monotonic()
    stage("kill headend")
    reads(window, ("Nothing of", "The broadcaster sends no picture"), since, "headend-gone")
    time.sleep(max(0.0, 10 - (time.monotonic() - since)))
    since = time.monotonic()
    stage("start headend")
    plays(window, since, "after its new start the picture moves")


def platform(window):
    say("Auth and rendezvous are killed for 15 s")
    before = stalls()
    since = time.monotonic()
    stage("kill platform")
    reads(window, "A part of the platform cannot be reached.", since, "platform-away")
    goes_on(window, before)
    say("           meanwhile the picture moves")
    time.sleep(max(0.0, 15 - (time.monotonic() - since)))
    since = time.monotonic()
    stage("start platform")
    window.gone("A part of the platform cannot be reached.")
    say(f"    {time.monotonic() - since:5.1f} s  the message is gone after they are back")
    goes_on(window, before)


def disk(window):
    say("The disk fills up (a small file system for the cache)")
    before = stalls()
    since = time.monotonic()
    with open(os.path.join(CACHE, "filler"), "wb") as filler:
        try:
            while True:
                filler.write(bytes(1 << 20))
        except OSError:
            pass
    reads(window, "Only the last seconds can be rewound", since, "disk-full")
    goes_on(window, before)
    say("           meanwhile the picture moves")
    os.remove(os.path.join(CACHE, "filler"))
    since = time.monotonic()
    wait("the disk is used again", lambda: not any(
        node.name.startswith("Only the last seconds") and showing(node) for node in window.all()))
    say(f"    {time.monotonic() - since:5.1f} s  after there is room again the message is gone")


def first(window):
    signing_in(window)
    wanted = os.environ.get("PART", "no_network,headend,platform,disk")
    for part in [no_network, headend, platform, disk]:
        if part.__name__ in wanted.split(","):
            part(window)


def without_network(window):
    say("A start without network, with the sign-in remembered")
    since = time.monotonic()
    reads(window, "There is no connection to the platform.", since, "start-without-network")
    time.sleep(3)
    since = time.monotonic()
    line("up")
    plays(window, since, "after the network is there the picture moves")
    say("The session is ended by the operator while something is watched")
    since = time.monotonic()
    stage("revoke sessions")
    reads(window, "Your sign-in has ended.", since, "session-ended")


def corrupt(window):
    say("Settings with a broken value and a broken rest, at a start")
    since = time.monotonic()
    reads(window, "Sign in to watch", since, "sign-in-again")
    window.fill("Password", password)
    window.press("Sign in")
    reads(window, "There is no sound device", since, "no-sound-again")
    since = time.monotonic()
    window.press("Put this message away")
    reads(window, "The setting", since, "broken-setting")
    plays(window, since, "the picture moves")


def nothing_readable(window):
    say("All that the program has written is garbage, at a start")
    since = time.monotonic()
    window.sign_in(server, user, password)
    window.press("No, only watch")
    plays(window, since, "after signing in and the question about sharing the picture moves")


os.makedirs(CACHE, exist_ok=True)
os.makedirs(out, exist_ok=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=330m", "tmpfs", CACHE], check=True)
run(first, program, folder, *counted(folder, "meadow"))
line("down")
run(without_network, program, folder)
with open(SETTINGS) as file:
    text = file.read()
with open(SETTINGS, "w") as file:
    file.write(text.replace("volume = 80", 'volume = "loud"'))
run(corrupt, program, folder)
for place, _, names in os.walk(folder):
    for name in names:
        if name != "client.toml":
            with open(os.path.join(place, name), "wb") as file:
                file.write(b"\xff\xfe= [[")
run(nothing_readable, program, folder)

"""Measures the viewer's window: start, change of channel, processor and memory, growth.

Arguments: the program, auth's address, user, password, the state folder, and what to measure: `start`, `zap`, `play`, `growth`.
Two channels of 720p at 2.5 Mbit/s, two repeaters, all on this machine. Started by the ignored test `measurements` of
tests/system/window.rs (`make measure-window`). Says what it has found, one line each.
"""

import os
import statistics
import sys
import time

from window import Window, counted, figures, run, wait

program, server, user, password, folder, what = sys.argv[1:7]
PAGE = os.sysconf("SC_PAGE_SIZE")
HERTZ = os.sysconf("SC_CLK_TCK")
CHANNELS = ["one", "two"]


def say(name, values, unit):
    """The median and the 95th of what was found."""
    ordered = sorted(values)
    high = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    print(f"{name}: median {statistics.median(ordered):.0f} {unit}, 95th {high:.0f} {unit}, "
          f"largest {ordered[-1]:.0f} {unit}, {len(ordered)} times", flush=True)


def stats():
    return figures(folder)


def playing(channel):
    """The figures once the first picture of the channel is on the screen."""
    def pictured():
        now = stats()
        return now if now.get("channel") == channel and now["picture_ms"] > 0 else None
    return wait(f"a picture of {channel}", pictured, 300)


def used(pid):
    """Seconds of processor time, MiB of memory, open files."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    with open(f"/proc/{pid}/statm") as file:
        resident = int(file.read().split()[1])
    return (int(fields[11]) + int(fields[12])) / HERTZ, resident * PAGE / 2**20, len(os.listdir(f"/proc/{pid}/fd"))


def sign_in(window):
    window.sign_in(server, user, password)
    window.press("No, only watch")
    playing(CHANNELS[0])


def start():
    """From the call of the program to its window with its first drawing, and to the first picture; signed in already."""
    drawn, pictured = [], []
    for _ in range(12):
        log = os.path.join(os.environ["HOME"], "window.log")
        before = os.path.getsize(log)
        begun = time.monotonic()
        window = Window(program, folder, *PLAY)

        def told(text):
            with open(log) as file:
                file.seek(before)
                return text in file.read()

        def moment(text):
            while not told(text):
                window.alive()
                time.sleep(0.003)
            return (time.monotonic() - begun) * 1000

        drawn.append(moment("the window is drawn"))
        pictured.append(moment("the first picture is shown"))
        window.close()
    # The first ones warm the caches.
    say("start to the drawn window", drawn[2:], "ms")
    say("start to the first picture", pictured[2:], "ms")


def zap(window, count=60):
    pictures, segments = [], []
    for turn in range(count):
        target = CHANNELS[(turn + 1) % 2]
        window.key("Up")
        figures = playing(target)
        pictures.append(figures["picture_ms"])
        segments.append(figures["startup_ms"])
    say("change of channel to the first frame given to the screen", pictures, "ms")
    say("of which to the first segment that can be played", segments, "ms")


def play(window):
    """Five stretches of ten seconds, once it has settled."""
    settled = time.monotonic() + 10
    wait("it has settled", lambda: time.monotonic() > settled)
    shares, memory = [], []
    before, at = used(window.program.pid)[0], time.monotonic()
    for _ in range(5):
        end = at + 10
        wait("ten seconds", lambda: time.monotonic() >= end)
        now, resident, _ = used(window.program.pid)
        later = time.monotonic()
        shares.append(100 * (now - before) / (later - at))
        memory.append(resident)
        before, at = now, later
    say("processor while playing", shares, "% of one core")
    say("memory while playing", memory, "MiB")
    print(f"interruptions: {stats()['stalls']}", flush=True)


def growth(window):
    """Memory, files, every minute, while it is zapped through: 200 times in half an hour, or as long as MINUTES says."""
    minutes = int(os.environ.get("MINUTES", "30"))
    zaps = 200 * minutes // 30
    begun, done = time.monotonic(), 0
    for minute in range(minutes + 1):
        _, resident, files = used(window.program.pid)
        print(f"minute {minute:2}: {resident:.0f} MiB, {files} files, {done} zaps, stalls {stats().get('stalls')}", flush=True)
        if minute == minutes:
            break
        while time.monotonic() < begun + (minute + 1) * 60:
            if done < zaps * (time.monotonic() - begun) / (minutes * 60):
                window.key("Up")
                playing(CHANNELS[(done + 1) % 2])
                done += 1
            else:
                time.sleep(0.5)


PLAY = counted(folder, CHANNELS[0])


def main(window):
    sign_in(window)
    for part in what.split(","):
        if part != "start":
            {"zap": zap, "play": play, "growth": growth}[part](window)
    window.close()


run(main, program, folder, *PLAY)
if "start" in what.split(","):
    start()

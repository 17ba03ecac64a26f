"""The test of the window: sign in, see the list, zap by keys and mouse, full screen, statistics, pause and rewind, sign out.

Arguments: the program, auth's address, user, password, the state folder, the platform's folder.
Channels: 1 red, 2 green, 3 blue; a white square goes through each picture. Each step says what it has done.
"""

import subprocess
import sys
import time

import pyatspi

import guide
from window import Desktop, environment, remote, run, showing, wait

program, server, user, password, folder, platform = sys.argv[1:7]
COLOURS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255)}
begun = time.monotonic()


def done(what):
    print(f"{time.monotonic() - begun:6.1f} s  {what}", flush=True)


def seen(window):
    """Which channel's picture is on the screen, and where the middle of its white square is: what a person would see. No
    channel if less than a third of the picture has its colour."""
    middle = [row for row in window.pixels(window.wait("Picture"))[14:40]]
    count = {"red": 0, "green": 0, "blue": 0}
    white = []
    for row in middle:
        for x, pixel in enumerate(row):
            if min(pixel) > 190:
                white.append(x)
            for name, wanted in COLOURS.items():
                if all(abs(part - want) < 60 for part, want in zip(pixel, wanted)):
                    count[name] += 1
    name = max(count, key=count.get)
    whole = sum(len(row) for row in middle)
    return (name if count[name] * 3 > whole else None), (sum(white) / len(white) if white else None)


def shows(window, channel):
    """Moving pictures of the channel are in the window: its colour, and its square now here, now there."""
    places = []

    def moves():
        name, place = seen(window)
        if name != channel:
            places.clear()
        elif place is not None:
            places.append(place)
        return places and max(places) - min(places) > 3

    wait(f"moving pictures of {channel}", moves)


def stands(window, channel):
    """The picture of the channel stands still: its square is where it was, five times in a row."""
    places = []

    def still():
        name, place = seen(window)
        places.append(place if name == channel else None)
        last = places[-5:]
        return len(last) == 5 and None not in last and max(last) - min(last) < 0.5

    wait(f"the picture of {channel} stands", still)


def signing_in(window):
    window.sign_in("http://127.0.0.1:9", user, "wrong")
    window.wait_for_start_of("No television platform answers")
    done("a wrong server is told")
    window.fill("Server", server)
    window.press("Sign in")
    window.wait("The user name or the password is wrong.")
    done("a wrong password is told")
    window.fill("Password", password)
    window.press("Sign in")
    window.press("No, only watch")
    done("signed in; sharing is explained and answered")
    for channel in ["1, red", "2, green", "3, blue"]:
        window.wait_for_start_of(channel)
    done("the list shows all channels")


def zapping(window):
    window.key("1")
    shows(window, "red")
    done("a digit plays the first channel, and its picture moves")
    window.key("Up")
    shows(window, "green")
    window.key("Page_Up")
    shows(window, "blue")
    window.key("Down")
    shows(window, "green")
    done("the arrows zap")
    window.key("Up", "Up", "Up", "Up")
    shows(window, "blue")
    done("of four zaps in a row the last one counts")
    window.click(window.wait_for_start_of("1, red"))
    shows(window, "red")
    done("a click on a channel plays it")


def sleepless(window):
    desktop.wait("awake")
    window.key("space")
    desktop.wait("may sleep")
    window.key("End")
    desktop.wait("awake")
    done("the screen stays awake while something plays")


def by_remote(window):
    remote("Player.", "Next")
    shows(window, "green")
    remote("Player.", "PlayPause")
    window.wait("PAUSED")
    remote("Player.", "Stop")
    window.wait("What would you like to watch?")
    remote("Player.", "Play")
    shows(window, "green")
    window.key("Down")
    shows(window, "red")
    done("a remote zaps, pauses and stops")


def looking(window):
    window.key("s")
    window.wait("Who feeds you")
    wait("a repeater is named with its AS and country",
         lambda: any("Repeater AS64501 DE" in node.name for node in window.all()))
    window.key("s")
    window.gone("Who feeds you")
    done("statistics name who feeds, and go away")

    before = window.area(window.wait("Picture"))
    window.key("f")
    window.wait("Leave full screen")
    window.gone("Search channels")
    wait("the picture is larger", lambda: window.area(window.wait("Picture"))[2] > before[2])
    shows(window, "red")
    window.key("Escape")
    window.wait("Search channels")
    wait("the picture is where it was", lambda: window.area(window.wait("Picture")) == before)
    done("full screen and back")

    window.key("m")
    window.wait("Sound on")
    window.key("m")
    window.wait("Mute")
    done("sound off and on")


def reading(window):
    """The guide, by keys and by the mouse. What is on began two hours ago and lasts four: none of it ends
    now, and the middle of it is in sight."""
    focused = lambda text: lambda: any(
        node.name.startswith(text) and node.getState().contains(pyatspi.STATE_FOCUSED) for node in window.all())
    window.key("g")
    wait("the guide begins at what is played", focused("red, Red hours"))
    window.key("Down")
    wait("down is the next channel", focused("green, Green hours"))
    window.wait_for_start_of(f"green  ·  {guide.day(GUIDE_BEGINS)}")
    window.key("Up", "Right")
    wait("right is what comes next", focused("red, More of red"))
    window.key("Left", "Down", "Return")
    window.gone("Close the guide")
    shows(window, "green")
    done("the guide is read and used by keys")
    # The one in the window's bar: the others go away with the banner.
    buttons = lambda: [node for node in window.all() if node.name == "Guide" and node.getRoleName() == "push button" and showing(node)]
    window.click(min(wait("buttons for the guide", buttons), key=lambda node: window.area(node)[1]))
    window.wait("Close the guide")
    window.click(window.wait_for_start_of("blue, Blue hours"))
    window.wait_for_start_of(f"blue  ·  {guide.day(GUIDE_BEGINS)}")
    window.click(window.wait_for_start_of("Watch"))
    window.gone("Close the guide")
    shows(window, "blue")
    window.key("g")
    window.wait("Close the guide")
    window.key("Escape")
    window.gone("Close the guide")
    window.key("Up")
    shows(window, "red")
    done("the guide is used by the mouse")


def shifting(window):
    window.key("space")
    window.wait("PAUSED")
    stands(window, "red")
    # So long that what comes next is behind live for sure.
    paused = time.monotonic()
    wait("it has been paused for a while", lambda: time.monotonic() - paused > 4)
    window.key("space")
    window.wait("REWOUND")
    shows(window, "red")
    done("pause, and on from there, behind live")
    window.key("shift+Left")
    window.wait("REWOUND")
    shows(window, "red")
    window.key("End")
    window.gone("REWOUND")
    shows(window, "red")
    done("rewound, and back to live")


def leaving(window):
    second = subprocess.run(window.command, env=environment(), timeout=60)
    assert second.returncode == 0, second
    window.alive()
    done("a second start ends, and the first goes on")
    window.key("ctrl+comma")
    window.wait("Helping other viewers")
    window.press("Sign out")
    window.wait("Sign in to watch")
    done("signed out")
    assert window.close() == 0, "the program ends in an orderly way"
    done("closed")


def main(window):
    for part in [signing_in, zapping, sleepless, by_remote, looking, reading, shifting, leaving]:
        part(window)


GUIDE = {name: (240, [f"{name.title()} hours", f"More of {name}"]) for name in COLOURS}
GUIDE_BEGINS = guide.load(platform, GUIDE)
desktop = Desktop()
run(main, program, folder)

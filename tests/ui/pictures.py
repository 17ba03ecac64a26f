"""Takes the pictures of the window for the documentation: each view, light and dark, small (800x500) and full screen, one
sheet for each; and the two of the README.

Arguments: the program, auth's address, user, password, a folder for its state, the folder for the pictures, the platform's
own folder, the headend's process. Started like drive.py, by the ignored test `pictures` of tests/system/window.rs
(`make pictures`). LOOKS=light takes those of one look; TEXT=1.5 with text so much larger; OUT=FOLDER puts them elsewhere.
"""

import os
import signal
import subprocess
import sys
import time

import pyatspi

import guide
from window import Missing, run, wait, xdotool

program, server, user, password, folder, out, platform, headend = sys.argv[1:9]
headend = int(headend)
SHOTS = os.path.join(folder, "shots")
LOOKS = os.environ.get("LOOKS", "light,dark").split(",")
# As few bytes as it takes to see what is there.
SMALL_FILE = ["-depth", "8", "-strip", "-define", "png:compression-level=9"]
# What the README shows.
README = {"viewer-light": "watching-small-light", "viewer-sign-in": "sign-in-error-small-light"}
SIZES = {"small": (800, 500), "full": (1280, 800)}
# What is on, from two hours ago on: channel, minutes and titles in turn.
GUIDE = {
    "meadow": (35, ["Big Buck Bunny", "Squirrels of the Alps", "The Meadow Kitchen", "News at the Burrow"]),
    "test": (60, ["Colour bars", "A tone of 440 Hz", "Colour bars, repeated"]),
    "city": (50, ["Trams of Zürich", "City News", "Bridges: a History in Twelve Rivers and One Very Long Title", "Weather"]),
    "sport": (90, ["Cycling: Stage 7", "Ice Hockey", "Chess Magazine"]),
}


def shot(name):
    return os.path.join(SHOTS, f"{name}.png")


def develop():
    """Lays the shots of each view on one sheet, and makes the README's."""
    views = {}
    for file in sorted(os.listdir(SHOTS)):
        view = file.removesuffix(".png").rsplit("-", 1)[0].removesuffix("-small").removesuffix("-full")
        views.setdefault(view, []).append(os.path.join(SHOTS, file))
    for view, files in views.items():
        # Small ones first, and light ones.
        files.sort(key=lambda file: ("-full" in file, "-dark" in file))
        sheet = ["montage", *files, "-tile", "2x", "-geometry", "640x400>+8+8", "-background", "#7f7f7f", "+dither", "-colors", "256"]
        subprocess.run([*sheet, *SMALL_FILE, f"PNG8:{out}/view-{view}.png"], check=True)
    for name, file in README.items():
        subprocess.run(["convert", shot(file), "+dither", "-colors", "256", *SMALL_FILE, f"PNG8:{out}/{name}.png"], check=True)


class Photographer:
    """Takes pictures of one window in one look."""

    def __init__(self, window, look):
        self.window, self.look = window, look

    def shot(self, name):
        """A picture of the window that has the keys, as soon as nothing slides any more."""
        time.sleep(1.0)
        where = self.window.active()
        subprocess.run(["import", "-silent", "-window", where, shot(f"{name}-{self.look}")], check=True)

    def both(self, name):
        """The page small and large."""
        for size, (width, height) in SIZES.items():
            self.window.size(width, height)
            self.shot(f"{name}-{size}")

    def awake(self):
        self.window.awake(self.window.wait("Picture"))

    def nothing_is_cut(self, last):
        """What stands at the right end of the window is in it."""
        def inside():
            end = self.window.wait(last).queryComponent().getExtents(pyatspi.WINDOW_COORDS)
            width, height = SIZES["small"]
            return 0 < end.x + end.width <= width and 0 < end.y + end.height <= height
        wait(f"{last!r} inside the window", inside)

    def view(self, name, open=(), close=()):
        """What is shown over the picture, small and on the full screen; keys open and close it."""
        self.window.size(*SIZES["small"])
        if open:
            self.window.key(*open)
        self.awake()
        self.nothing_is_cut("Full screen")
        self.shot(f"{name}-small")
        self.window.key("F11")
        self.window.wait("Leave full screen")
        self.awake()
        self.shot(f"{name}-full")
        self.window.key("F11")
        self.window.wait("Full screen")
        if close:
            self.window.key(*close)

    def dialog(self, name, key, wanted):
        main = self.window.active()
        self.window.key(key)
        self.window.wait(wanted)
        wait("the dialog has the keys", lambda: self.window.active() != main)
        self.shot(name)
        self.window.key("Escape")
        wait("the dialog is closed", lambda: self.window.active() == main)


def signing_in(window, photographer):
    window.wait("Sign in to watch")
    photographer.both("sign-in")
    window.sign_in(server, user, "wrong")
    window.wait("The user name or the password is wrong.")
    photographer.both("sign-in-error")
    window.fill("Password", password)
    window.press("Sign in")
    window.wait("Yes, help")
    photographer.both("sharing")
    window.press("Yes, help")
    window.wait_for_start_of("1, ")
    put_away(window)


def put_away(window):
    """Notices of this machine, such as one without sound, are not for every picture."""
    notice = lambda: window.find("Put this message away")
    try:
        wait("a notice", notice, 5)
        while notice():
            window.press("Put this message away")
            time.sleep(1)
    except Missing:
        pass


def watching(window, photographer):
    def pictured():
        middle = window.pixels(window.wait("Picture"))[20:34]
        return sum(max(pixel) > 60 for row in middle for pixel in row) > 300

    window.key("2")
    wait("a picture", pictured)
    put_away(window)
    # Something to rewind, and figures to show.
    time.sleep(8)
    photographer.view("information", ["i"], ["i"])
    photographer.view("statistics", ["s"], ["s"])
    photographer.view("guide", ["g"], ["Escape"])
    photographer.view("paused", ["space"])
    window.key("space")
    photographer.view("rewound", ["shift+Left"], ["End"])
    photographer.dialog("preferences", "ctrl+comma", "Helping other viewers")
    photographer.dialog("keys", "F1", "Channel by its number")
    window.press("Favourites")
    window.wait_for_start_of("No favourites yet")
    photographer.view("no-favourites")
    window.press("All")
    window.key("ctrl+f")
    xdotool("type", "nothing like it")
    window.wait("No channel fits your search.")
    photographer.view("no-match")
    window.key("ctrl+f", "Escape")
    window.wait_for_start_of("1, ")
    window.key("1")
    wait("a picture", pictured)
    photographer.view("watching")


def failing(window, photographer):
    """The headend stands still: what is watched freezes, and other channels are off air."""
    os.kill(headend, signal.SIGSTOP)
    try:
        window.wait_for_start_of("Nothing of")
        photographer.view("nothing-comes")
        window.wait_for_start_of("2, Test picture, Off air")
        window.key("2")
        window.wait_for_start_of("Test picture is not on air")
        photographer.view("off-air")
    finally:
        os.kill(headend, signal.SIGCONT)


def enlarge(times):
    """As the desktop's setting for larger text does."""
    resources = ["-f", "RESOURCE_MANAGER", "8s", "-set", "RESOURCE_MANAGER", f"Xft.dpi: {round(96 * times)}\n"]
    subprocess.run(["xprop", "-root", *resources], check=True)


def main(look):
    def take(window):
        photographer = Photographer(window, look)
        signing_in(window, photographer)
        watching(window, photographer)
        failing(window, photographer)
        window.close()
    return take


guide.load(platform, GUIDE)
os.makedirs(SHOTS)
if "TEXT" in os.environ:
    enlarge(float(os.environ["TEXT"]))
for look in LOOKS:
    state = os.path.join(folder, look)
    os.makedirs(state)
    with open(os.path.join(folder, "client.toml")) as configured, open(os.path.join(state, "client.toml"), "w") as copy:
        copy.write(configured.read())
    with open(os.path.join(state, "settings.toml"), "w") as settings:
        settings.write(f'appearance = "{look}"\n[window]\nwidth = 800\nheight = 500\n')
    run(main(look), program, state)
develop()

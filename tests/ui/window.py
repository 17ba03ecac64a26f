"""Drives the viewer's window as a person would: by what a screen reader is told, by keys and by the mouse.

Nothing here knows where something is on the screen: widgets are found by role and name (AT-SPI). Started inside a session
bus and a display of its own by tests/system/window.rs, or for pictures of the documentation by `make pictures`.
"""

import os
import subprocess
import sys
import time

import pyatspi

PATIENCE = 90
TICK = 0.15


class Missing(Exception):
    pass


def wait(what, condition, patience=PATIENCE):
    """What the condition gives as soon as that is something; machines are shared, so patience is long."""
    end = time.monotonic() + patience
    while True:
        try:
            found = condition()
            if found:
                return found
        except Exception:  # A widget may go away while it is looked at.
            pass
        if time.monotonic() > end:
            raise Missing(what)
        time.sleep(TICK)


def showing(node):
    """Whether something has a place in the window. GTK 4.8 does not tell more."""
    if "Component" not in node.get_interfaces():
        return False
    place = node.queryComponent().getExtents(pyatspi.WINDOW_COORDS)
    return place.width > 0 and place.height > 0


class Window:
    """The viewer's window."""

    def __init__(self, command, env):
        self.log = open(os.path.join(env["HOME"], "window.log"), "ab")
        self.program = subprocess.Popen(command, env=env, stdout=self.log, stderr=self.log)
        self.application = None

    def alive(self):
        if self.program.poll() is not None:
            sys.exit(f"the program has ended with {self.program.returncode}")

    def app(self):
        self.alive()
        if self.application is None:
            desktop = pyatspi.Registry.getDesktop(0)
            for i in range(desktop.childCount):
                child = desktop.getChildAtIndex(i)
                if child is not None and child.get_process_id() == self.program.pid:
                    self.application = child
        return self.application

    def all(self, node=None, depth=0):
        node = node if node is not None else self.app()
        if node is None or depth > 40:
            return
        yield node
        for i in range(node.childCount):
            child = node.getChildAtIndex(i)
            if child is not None:
                yield from self.all(child, depth + 1)

    def find(self, name, role=None, shown=True):
        for node in self.all():
            if node.name != name or (role and node.getRoleName() != role):
                continue
            if not shown or showing(node):
                return node
        return None

    def wait(self, name, role=None):
        return wait(f"{role or 'something'} called {name!r}", lambda: self.find(name, role))

    def wait_for_start_of(self, text):
        return wait(
            f"something that begins with {text!r}",
            lambda: next((n for n in self.all() if n.name.startswith(text)
                          and showing(n)), None),
        )

    def gone(self, name, role=None):
        wait(f"{name!r} goes away", lambda: not self.find(name, role))

    def press(self, name, role=None):
        """Presses a button."""
        node = self.wait(name, role)
        if not node.queryAction().doAction(0):
            raise Missing(f"{name!r} cannot be pressed")

    def fill(self, name, text):
        """Types into a field. GTK 4.8 lets nobody edit it otherwise."""
        field = self.wait(name, "password text" if name == "Password" else "text")
        self.click(field)
        time.sleep(0.3)
        self.key("ctrl+a")
        subprocess.run(["xdotool", "type", "--delay", "20", text], check=True)

    def click(self, node):
        """Clicks into the middle of something."""
        place = node.queryComponent().getExtents(pyatspi.WINDOW_COORDS)
        where = subprocess.run(["xdotool", "getactivewindow", "getwindowgeometry", "--shell"],
                               check=True, capture_output=True, text=True).stdout
        corner = dict(line.split("=") for line in where.split() if "=" in line)
        x = int(corner["X"]) + place.x + place.width // 2
        y = int(corner["Y"]) + place.y + place.height // 2
        subprocess.run(["xdotool", "mousemove", str(x), str(y), "click", "1"], check=True)

    def key(self, *keys):
        subprocess.run(["xdotool", "key", "--delay", "40", *keys], check=True)

    def tree(self):
        """All that is shown, for a person who reads a failure."""
        lines = []
        try:
            for node in self.all():
                if node.name and showing(node):
                    lines.append(f"{node.getRoleName()}: {node.name}")
        except Exception as error:
            lines.append(repr(error))
        return "\n".join(lines)

    def close(self):
        self.program.terminate()
        try:
            return self.program.wait(30)
        except subprocess.TimeoutExpired:
            self.program.kill()
            return None


def picture(path):
    """The whole display as a PNG file."""
    subprocess.run(["import", "-window", "root", path], check=True)


def colour(box=None):
    """The mean colour of the display, or of a part of it: three numbers from 0 to 255."""
    crop = ["-crop", box] if box else []
    command = ["convert", "x:root", *crop, "-resize", "1x1!", "-depth", "8", "rgb:-"]
    return tuple(subprocess.run(command, check=True, capture_output=True).stdout[:3])


def pixels(width=64, height=36):
    """The display, made small: a list of grey values."""
    command = ["convert", "x:root", "-colorspace", "Gray", "-resize", f"{width}x{height}!", "-depth", "8", "gray:-"]
    return list(subprocess.run(command, check=True, capture_output=True).stdout)

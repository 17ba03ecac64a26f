"""Drives the viewer's window as a person would: by what a screen reader is told, by keys and by the mouse.

Nothing here knows where something is on the screen: widgets are found by role and name (AT-SPI), and what they show is looked
at where they say that they are. Nothing waits for a time to pass: each step waits for what it is about, with long patience,
because machines are shared. Started inside a session bus and a display of its own by tests/system/window.rs.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time

import pyatspi

PATIENCE = 90
TICK = 0.1


class Missing(Exception):
    """What was waited for in vain."""

FIGURES = "stats.json"


def wait(what, condition, patience=PATIENCE):
    """What the condition gives as soon as that is something."""
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


def counted(folder, channel):
    """The arguments with which a program plays a channel and writes its figures."""
    return ["play", channel, "--stats-json", os.path.join(folder, FIGURES)]


def figures(folder):
    """What the program last wrote of its figures; nothing if it has not, or is at it."""
    try:
        with open(os.path.join(folder, FIGURES)) as file:
            return json.load(file)
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def environment():
    """Everything that the program reads and writes is under HOME; it draws on the processor, as the display has no card."""
    home = os.environ["HOME"]
    return dict(os.environ, GSK_RENDERER="cairo", GDK_BACKEND="x11", LC_ALL="C.UTF-8", XDG_CONFIG_HOME=f"{home}/config",
                XDG_CACHE_HOME=f"{home}/cache", XDG_STATE_HOME=f"{home}/state")


# What can have the focus and never does: it holds others that do.
HOLDERS = {"scroll pane", "filler", "panel", "frame", "dialog"}
# These have the desktop's own keys, in every program, and GTK leaves them out.
DESKTOPS_OWN = {"Minimize", "Maximize", "Restore", "Close"}


def nameless(node):
    """GTK 4.8 calls what has no name of its own by its type."""
    return not node.name.strip() or re.match(r"Gtk[A-Z]", node.name) is not None


def ancestors(node):
    """What holds something, from the inside out."""
    while (node := node.parent) is not None:
        yield node


def described(node):
    return f"{node.getRoleName()} {node.name!r}"


def xdotool(*words):
    return subprocess.run(["xdotool", *words], check=True, capture_output=True, text=True).stdout.strip()


class Desktop:
    """The desktop's portals (desktop.py). To be there before a window is."""

    def __init__(self):
        script = os.path.join(os.path.dirname(__file__), "desktop.py")
        self.process = subprocess.Popen(["/usr/bin/python3", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.said = []
        threading.Thread(target=self.listen, daemon=True).start()
        self.wait("ready")

    def listen(self):
        for line in self.process.stdout:
            self.said.append(line.strip())

    def wait(self, last):
        """Until this is what it said last."""
        wait(f"the desktop says {last!r}", lambda: self.said and self.said[-1] == last)

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()


def remote(interface, method, *arguments):
    """A call of the player on the bus, as a remote's keys make it."""
    player = ["--dest", "org.mpris.MediaPlayer2.braidcast", "--object-path", "/org/mpris/MediaPlayer2"]
    command = ["gdbus", "call", "--session", *player, "--method", f"org.mpris.MediaPlayer2.{interface}{method}", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Window:
    """The viewer's window. `folder` holds its configuration and its state."""

    def __init__(self, program, folder, *more):
        self.command = [program, "--config", os.path.join(folder, "client.toml"), "--state", folder, *more]
        self.log = open(os.path.join(os.environ["HOME"], "window.log"), "ab")
        self.program = subprocess.Popen(self.command, env=environment(), stdout=self.log, stderr=self.log)
        self.application = None
        self.turn = 0
        # What keys have led to, in any view.
        self.reached = set()

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
            lambda: next((n for n in self.all() if n.name.startswith(text) and showing(n)), None),
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
        secret = name == "Password"
        field = self.wait(name, "password text" if secret else "text")

        def focused():
            self.click(field)
            return field.getState().contains(pyatspi.STATE_FOCUSED)

        wait(f"{name!r} has the focus", focused)
        self.key("ctrl+a")
        xdotool("type", "--delay", "15", text)

        def typed():
            content = field.queryText()
            count = content.characterCount
            return count == len(text) and (secret or content.getText(0, count) == text)

        wait(f"{name!r} holds {text!r}", typed)

    def sign_in(self, server, user, password):
        """Signs in at the page for it, as somebody who only watches."""
        self.wait("Sign in to watch")
        for field, text in [("Server", server), ("User name", user), ("Password", password)]:
            self.fill(field, text)
        self.press("Sign in")

    def front(self):
        """The window that has the keys, as a screen reader knows it."""
        title = xdotool("getwindowname", self.active())
        frames = [self.app().getChildAtIndex(i) for i in range(self.app().childCount)]
        return next((frame for frame in frames if frame is not None and frame.name == title), None)

    def focused(self):
        """What has the focus in the window that has the keys."""
        return next((n for n in self.all(self.front()) if n.getState().contains(pyatspi.STATE_FOCUSED)), None)

    def controls(self):
        """What can have the focus now in the window that has the keys, by its place on the bus."""
        states = [pyatspi.STATE_FOCUSABLE, pyatspi.STATE_SENSITIVE]
        able = lambda node: all(node.getState().contains(s) for s in states) and node.getRoleName() not in HOLDERS
        ours = lambda node: able(node) and node.name not in DESKTOPS_OWN
        return {node.path: node for node in self.all(self.front()) if ours(node) and showing(node)}

    def audit(self, view, key="Tab", wake=lambda: None, texts=False):
        """Whoever hears the view or has no mouse can use it: every control has a name, and the key goes through all of them.
        What the key has reached in another view need not be reached again: GTK 4.8 tells of pages that are hidden as if they
        were not. `wake` keeps in sight what goes away by itself. A view of `texts` alone has none. Gives how many controls there are."""
        wake()
        if texts:
            before = self.controls()
            assert not before, f"{view}: {[described(node) for node in before.values()]}"
            return 0
        before = wait(f"controls of {view}", self.controls)
        silent = {path: described(node) for path, node in before.items() if nameless(node)}
        missing = before.keys() - self.reached
        last = None
        for _ in range(2 * len(before) + 10):
            wake()
            self.key(key)

            def moved():
                node = self.focused()
                return node if node is not None and node.path != last else None

            node = wait(f"{key} goes on in {view}", moved)
            last = node.path
            if nameless(node):
                silent[last] = described(node)
            # A list gives the focus on to one of its rows.
            around = [last, *(outer.path for outer in ancestors(node) if outer.getRoleName() == "list")]
            self.reached.update(around)
            missing.difference_update(around)
            if not missing:
                break
        now = self.controls()
        lost = [described(now[path]) for path in missing if path in now]
        assert not silent, f"{view}: without a name: {list(silent.values())}"
        assert not lost, f"{view}: {key} does not reach {lost}"
        return len(before)

    def active(self):
        """The X window that keys go to, which must be one of the program's."""
        self.alive()

        def ours():
            active = xdotool("getactivewindow")
            return active if xdotool("getwindowpid", active) == str(self.program.pid) else None

        return wait("the window has the keys", ours)

    def area(self, node):
        """Where something is on the screen: left, top, width, height."""
        place = node.queryComponent().getExtents(pyatspi.WINDOW_COORDS)
        lines = xdotool("getwindowgeometry", "--shell", self.active()).splitlines()
        corner = dict(line.split("=", 1) for line in lines if "=" in line)
        return int(corner["X"]) + place.x, int(corner["Y"]) + place.y, place.width, place.height

    def point(self, node):
        """Moves the mouse over the middle of something."""
        x, y, width, height = self.area(node)
        xdotool("mousemove", str(x + width // 2), str(y + height // 2))

    def awake(self, picture):
        """The buttons over the picture are shown while the mouse moves."""
        x, y, width, height = self.area(picture)
        self.turn ^= 1
        xdotool("mousemove", str(x + width // 2 + self.turn), str(y + height // 3))

    def click(self, node):
        self.point(node)
        xdotool("click", "1")

    def key(self, *keys):
        self.active()
        xdotool("key", "--delay", "40", *keys)

    def size(self, width, height):
        """Makes the window so large. Gives the size that it has then."""
        xdotool("windowsize", "--sync", self.active(), str(width), str(height))

    def pixels(self, node, width=96, height=54):
        """What is on the screen where `node` is, made that small: rows of (red, green, blue)."""
        x, y, w, h = self.area(node)
        command = ["convert", "x:root", "-crop", f"{w}x{h}+{x}+{y}", "-resize", f"{width}x{height}!", "-depth", "8", "rgb:-"]
        raw = subprocess.run(command, check=True, capture_output=True).stdout
        triples = [tuple(raw[i:i + 3]) for i in range(0, len(raw), 3)]
        return [triples[row * width:(row + 1) * width] for row in range(height)]

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
        """Ends the program; its exit code, or nothing if it had to be killed."""
        self.program.terminate()
        try:
            return self.program.wait(30)
        except subprocess.TimeoutExpired:
            self.program.kill()
            return None


def picture(path, window="root"):
    """The display, or one window of it, as a PNG file."""
    subprocess.run(["import", "-silent", "-window", window, path], check=True)


def run(main, *arguments):
    """Runs a script on a window: `main(window)`. Says what was shown if something is missing, and ends the program anyhow."""
    window = Window(*arguments)
    try:
        main(window)
    except (Missing, AssertionError, subprocess.CalledProcessError) as error:
        print(f"failed: {error!r}\nshown:\n{window.tree()}", flush=True)
        picture(os.path.join(os.environ["HOME"], "failed.png"))
        sys.exit(1)
    finally:
        if window.program.poll() is None:
            window.close()

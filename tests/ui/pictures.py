"""Takes the pictures of the window for the documentation: each view, light and dark, small and full.

Arguments: the program, auth's address, user, password, a folder for its state, the folder for the pictures.
Started like drive.py, by the ignored test `pictures` of tests/system/window.rs (`make pictures`).
"""

import os
import subprocess
import sys
import time

from window import Window, picture, wait

program, server, user, password, folder, out = sys.argv[1:7]
home = os.environ["HOME"]
environment = dict(os.environ, GSK_RENDERER="cairo", GDK_BACKEND="x11", LC_ALL="C.UTF-8",
                   XDG_CONFIG_HOME=f"{home}/config", XDG_CACHE_HOME=f"{home}/cache")


def shot(name):
    time.sleep(1.5)
    where = subprocess.run(["xdotool", "getactivewindow"], check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run(["import", "-window", where, os.path.join(out, f"viewer-{name}.png")], check=True)


def size(width, height):
    subprocess.run(["xdotool", "getactivewindow", "windowsize", "--sync", str(width), str(height)], check=False)


def choose(what, entry):
    """Chooses from a list of the preferences by keys."""
    window.wait(what).queryComponent().grabFocus()
    window.key("space")
    time.sleep(0.5)
    window.key("Home", *["Down"] * entry, "Return")


window = Window([program, "--config", os.path.join(folder, "client.toml"), "--state", folder], environment)
window.wait("Sign in to watch")
shot("sign-in")
window.fill("Server", server)
window.fill("User name", user)
window.fill("Password", "wrong")
window.press("Sign in")
window.wait("The user name or the password is wrong.")
shot("sign-in-error")
window.fill("Password", password)
window.press("Sign in")
window.wait("Yes, help")
shot("sharing")
window.press("Yes, help")
window.wait_for_start_of("1, ")
wait("the sound is asked for", lambda: window.find("Put this message away"), 10) and window.press("Put this message away")
for look, entry in [("light", 1), ("dark", 2)]:
    window.key("ctrl+comma")
    window.wait("Colours")
    choose("Colours", entry)
    shot(f"preferences-{look}")
    window.key("Escape")
    window.key("2")
    time.sleep(2)
    shot(look)
    window.key("s")
    shot("statistics" if look == "dark" else f"statistics-{look}")
    window.key("s", "g")
    shot(f"guide-{look}")
    window.key("Escape", "F1")
    shot(f"keys-{look}")
    window.key("Escape", "i")
    shot(f"information-{look}")
    window.key("i")
    size(800, 500)
    window.key("m", "m")
    shot(f"small-{look}")
    size(1100, 680)
    window.key("f")
    window.key("m", "m")
    shot(f"full-{look}")
    window.key("Escape")
window.close()

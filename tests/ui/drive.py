"""The test of the window: sign in, see the list, zap by keys and mouse, full screen, statistics, pause and rewind, sign out.

Arguments: the program, auth's address, user, password, the state folder.
Channels: 1 red, 2 green, 3 blue, with something that moves. Each step says what it has done.
"""

import os
import subprocess
import sys
import time

from window import Missing, Window, colour, picture, pixels, wait

program, server, user, password, folder = sys.argv[1:6]
begun = time.monotonic()


def done(what):
    print(f"{time.monotonic() - begun:6.1f} s  {what}", flush=True)


def dominant():
    """Which of red, green, blue is on the screen: the middle of it, where the picture is."""
    red, green, blue = colour("50%x40%+400+200")
    values = {"red": red, "green": green, "blue": blue}
    name = max(values, key=values.get)
    return name if values[name] > 60 and values[name] > 2 * sorted(values.values())[1] else None


def moves():
    """Whether two pictures, taken one after the other, are different."""
    before = pixels()
    time.sleep(0.4)
    after = pixels()
    return sum(abs(a - b) > 24 for a, b in zip(before, after)) > 2


def shows(channel):
    wait(f"the picture of {channel}", lambda: dominant() == channel)
    wait(f"the picture of {channel} moves", moves)


def main(window):
    window.wait("Sign in to watch")
    done("the page for signing in is there")
    window.fill("Server", "http://127.0.0.1:9")
    window.fill("User name", user)
    window.fill("Password", "wrong")
    window.press("Sign in")
    window.wait_for_start_of("No television platform answers")
    done("a wrong server is told")
    window.fill("Server", server)
    window.press("Sign in")
    window.wait("The user name or the password is wrong.")
    done("a wrong password is told")
    window.fill("Password", password)
    window.press("Sign in")

    window.press("No, only watch")
    done("signed in, sharing explained and answered")
    for channel in ["1, red", "2, green", "3, blue"]:
        window.wait_for_start_of(channel)
    done("the list shows all channels")

    window.key("1")
    shows("red")
    done("a digit plays the first channel, and its picture moves")
    window.key("Up")
    shows("green")
    window.key("Page_Up")
    shows("blue")
    window.key("Down")
    shows("green")
    done("the arrows zap")
    row = window.wait_for_start_of("1, red")
    window.click(row)
    shows("red")
    subprocess.run(["xdotool", "mousemove", "700", "300"], check=True)
    done("a click on a channel plays it")

    window.key("s")
    window.wait_for_start_of("Who feeds you")
    wait("the repeater is named with its AS and country",
         lambda: any("Repeater AS64501" in node.name for node in window.all()))
    window.key("s")
    window.gone("Who feeds you")
    done("statistics name who feeds, and go away")

    window.key("f")
    subprocess.run(["xdotool", "mousemove", "640", "300"], check=True)
    window.wait("Leave full screen")
    wait("the list is not shown", lambda: not window.find("Search channels"))
    shows("red")
    window.key("Escape")
    window.wait("Search channels")
    done("full screen and back")

    window.key("space")
    window.wait("PAUSED")
    wait("the picture stands", lambda: not moves())
    time.sleep(3)
    window.key("space")
    window.wait("REWOUND")
    wait("the picture moves again", moves)
    done("pause, and on from there")
    window.key("shift+Left")
    wait("rewound further", moves)
    window.key("End")
    window.gone("REWOUND")
    shows("red")
    done("rewound, and back to live")

    window.key("g")
    window.wait("Close the guide")
    window.key("Escape")
    window.gone("Close the guide")
    window.key("m")
    window.wait("Sound on")
    window.key("m")
    window.wait("Mute")
    done("guide and mute")

    second = subprocess.run([program, "--state", folder], env=environment(), timeout=60)
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


def environment():
    env = dict(os.environ)
    home = os.environ["HOME"]
    env.update(GSK_RENDERER="cairo", GDK_BACKEND="x11", LC_ALL="C.UTF-8", HOME=home,
               XDG_CONFIG_HOME=f"{home}/config", XDG_CACHE_HOME=f"{home}/cache", XDG_STATE_HOME=f"{home}/state")
    return env


window = Window([program, "--config", os.path.join(folder, "client.toml"), "--state", folder], environment())
try:
    main(window)
except (Missing, AssertionError) as error:
    print(f"waited in vain: {error}\n{window.tree()}", flush=True)
    picture(os.path.join(os.environ["HOME"], "failed.png"))
    window.close()
    sys.exit(1)

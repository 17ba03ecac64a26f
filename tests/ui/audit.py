"""Goes through every view and dialog of the window and looks at what a screen reader is told and what keys reach: every control
has a name, and Tab (in menus the arrow) leads to it.

Arguments: the program, auth's address, user, password, the state folder, the platform's folder. Channels: red, green, blue.
Started by the test `names_and_keys` of tests/system/window.rs. Each step says what it has done.
"""

import sys
import time

import guide
from window import Desktop, run, wait

program, server, user, password, folder, platform = sys.argv[1:7]
begun = time.monotonic()


def audited(window, view, **more):
    count = window.audit(view, **more)
    print(f"{time.monotonic() - begun:6.1f} s  {view}: {count} controls have names, and keys reach them", flush=True)


def pages(window):
    window.wait("Sign in to watch")
    audited(window, "signing in")
    window.sign_in(server, user, password)
    window.wait("No, only watch")
    audited(window, "the question about sharing")
    window.press("No, only watch")
    window.wait_for_start_of("1, red")


def views(window):
    awake = lambda: window.awake(window.wait("Picture"))
    audited(window, "the list and the picture", wake=awake)
    window.key("Escape", "i")
    window.wait_for_start_of("1  red")
    audited(window, "information", wake=awake)
    window.key("Escape", "s")
    window.wait("Who feeds you")
    audited(window, "statistics", wake=awake)
    window.key("Escape")
    window.gone("Who feeds you")
    window.key("g")
    window.wait("Close the guide")
    audited(window, "the guide")
    window.key("Escape")
    window.gone("Close the guide")


def dialogs(window):
    main = window.active()
    for key, title, wanted, texts in [
        ("ctrl+comma", "preferences", "Helping other viewers", False),
        ("F1", "the keys", "Channel by its number", True),
    ]:
        window.key(key)
        window.wait(wanted)
        wait("the dialog has the keys", lambda: window.active() != main)
        audited(window, title, texts=texts)
        window.key("Escape")
        wait("the dialog is closed", lambda: window.active() == main)


def menus(window):
    for key, menu, wanted in [("F10", "the menu", "Save a report …"), ("t", "the menu of tracks", "Sound")]:
        window.key(key)
        window.wait(wanted)
        audited(window, menu, key="Down")
        window.key("Escape")
        window.gone(wanted)


def main(window):
    for part in [pages, views, dialogs, menus]:
        part(window)


guide.load(platform, {name: (240, [f"{name.title()} hours", f"More of {name}"]) for name in ["red", "green", "blue"]})
desktop = Desktop()
run(main, program, folder)

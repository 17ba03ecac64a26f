"""A desktop, as far as the window asks one: the portals that keep a screen awake and know connections paid by volume.

Says `awake` and `may sleep` as the window wants it, and takes `metered` and `free` line by line.
"""

import sys

from gi.repository import Gio, GLib

PORTALS = Gio.DBusNodeInfo.new_for_xml("""<node>
  <interface name="org.freedesktop.portal.Inhibit">
    <method name="Inhibit">
      <arg type="s" direction="in"/><arg type="u" direction="in"/><arg type="a{sv}" direction="in"/>
      <arg type="o" direction="out"/>
    </method>
    <method name="CreateMonitor">
      <arg type="s" direction="in"/><arg type="a{sv}" direction="in"/><arg type="o" direction="out"/>
    </method>
    <property name="version" type="u" access="read"/>
  </interface>
  <interface name="org.freedesktop.portal.NetworkMonitor">
    <method name="GetMetered"><arg type="b" direction="out"/></method>
    <signal name="changed"/>
  </interface>
</node>""")
REQUEST = Gio.DBusNodeInfo.new_for_xml("""<node>
  <interface name="org.freedesktop.portal.Request"><method name="Close"/></interface>
</node>""").interfaces[0]
PATH = "/org/freedesktop/portal/desktop"
IDLE = 8

loop = GLib.MainLoop()
metered = False
requests = {}


def say(text):
    print(text, flush=True)


def closed(bus, sender, path, interface, method, arguments, call):
    bus.unregister_object(requests.pop(path))
    call.return_value(None)
    if not requests:
        say("may sleep")


def called(bus, sender, path, interface, method, arguments, call):
    if method == "GetMetered":
        return call.return_value(GLib.Variant("(b)", (metered,)))
    handle = f"{PATH}/request/{len(requests)}{sender.replace(':', '').replace('.', '_')}"
    if method == "Inhibit" and arguments.unpack()[1] & IDLE:
        requests[handle] = bus.register_object(handle, REQUEST, closed, None, None)
        say("awake")
    call.return_value(GLib.Variant("(o)", (handle,)))


def read(channel, condition):
    global metered
    line = sys.stdin.readline()
    if not line:
        loop.quit()
        return False
    metered = line.strip() == "metered"
    bus.emit_signal(None, PATH, "org.freedesktop.portal.NetworkMonitor", "changed", None)
    return True


bus = Gio.bus_get_sync(Gio.BusType.SESSION)
for interface in PORTALS.interfaces:
    bus.register_object(PATH, interface, called, lambda *_: GLib.Variant("u", 3), None)
Gio.bus_own_name_on_connection(bus, "org.freedesktop.portal.Desktop", Gio.BusNameOwnerFlags.NONE,
                               lambda *_: say("ready"), lambda *_: loop.quit())
GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, read)
loop.run()

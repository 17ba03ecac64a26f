"""An RTSP server for tests: serves a file of MPEG-TS with H.264 and AAC, as cameras do, to who knows the password.

Arguments: file, port, user, password. Prints the port when it listens (0 takes a free one).
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

path, port, user, password = sys.argv[1:]
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(port)
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    f"( filesrc location={path} ! tsdemux name=d"
    " d. ! queue ! h264parse ! rtph264pay name=pay0 config-interval=-1"
    " d. ! queue ! aacparse ! rtpmp4gpay name=pay1 )"
)
factory.set_shared(True)
allowed = "viewer,media.factory.access=(boolean)true,media.factory.construct=(boolean)true"
factory.add_role_from_structure(Gst.Structure.new_from_string(allowed))
auth = GstRtspServer.RTSPAuth()
token = GstRtspServer.RTSPToken()
token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
server.set_auth(auth)
server.get_mount_points().add_factory("/camera", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()

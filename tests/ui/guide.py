"""A guide for the platform, as its operator would load one."""

import datetime
import os
import subprocess
import tempfile


def load(platform, channels):
    """Loads a guide of fourteen hours that began two hours ago: for each channel minutes, and titles in turn. Gives
    when it begins."""
    now = datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0)
    begin = now - datetime.timedelta(hours=2)
    lines = ["<tv>", *(f'<channel id="{channel}"><display-name>{channel}</display-name></channel>' for channel in channels)]
    for channel, (minutes, titles) in channels.items():
        at, turn = begin, 0
        while at < now + datetime.timedelta(hours=12):
            end = at + datetime.timedelta(minutes=minutes)
            lines.append(f'<programme channel="{channel}" start="{at:%Y%m%d%H%M%S} +0000" stop="{end:%Y%m%d%H%M%S} +0000">'
                         f"<title>{titles[turn % len(titles)]}</title><desc>What this is about, in a sentence or two that "
                         "somebody at the broadcaster has written for those who wonder whether to stay.</desc>"
                         "<category>Documentary</category></programme>")
            at, turn = end, turn + 1
    with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
        file.write("\n".join([*lines, "</tv>"]))
        file.flush()
        config = os.path.join(platform, "auth.toml")
        subprocess.run([os.environ["AUTH"], "--config", config, "guide", "load", file.name], check=True)
    return begin


def day(time):
    """The day of a time, not long ago, as the window names it now: in the evening a programme is of today, after
    midnight the same is of yesterday."""
    today = datetime.datetime.now().date()
    return "Today" if time.astimezone().date() == today else "Yesterday"

//! The operator's console: a page made here, which a small script keeps live. Nothing is loaded
//! from elsewhere. Without the script the page shows the line-up.

use link::protocol::ChannelInfo;

/// Keeps the page live.
pub const SCRIPT: &str = include_str!("console.js");
/// How it looks.
pub const STYLE: &str = include_str!("console.css");

const PAGE: &str = include_str!("page.html");

/// The page as it is now.
pub fn page(line_up: &[ChannelInfo], sessions: usize) -> String {
    let mut rows = String::new();
    for channel in line_up {
        let state = if channel.live { "on air" } else { "off air" };
        let class = if channel.live { "live" } else { "off" };
        let renditions: Vec<String> = channel
            .renditions
            .iter()
            .map(|(name, bitrate)| format!("{name} {:.1} Mbit/s", *bitrate as f64 / 1e6))
            .collect();
        rows.push_str(&format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"{class}\">{state}</td><td>{}</td></tr>\n",
            channel.number,
            escape(&channel.id),
            escape(&channel.name),
            escape(&renditions.join(", ")),
        ));
    }
    if rows.is_empty() {
        rows.push_str("<tr><td colspan=\"5\">No channel has been published yet.</td></tr>\n");
    }
    PAGE.replace("{{rows}}", &rows).replace("{{sessions}}", &sessions.to_string())
}

/// Text as it may stand between tags and in attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_headends_call_their_channels_is_text_and_nothing_else() {
        let channel = ChannelInfo {
            id: "one".into(),
            name: "<script>alert('x')</script>{{sessions}}".into(),
            number: 1,
            logo: None,
            live: true,
            renditions: vec![("main".into(), 4_200_000)],
        };
        let page = page(&[channel], 7);
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)"), "{page}");
        assert!(!page.contains("<script>"), "{page}");
        assert!(page.contains("main 4.2 Mbit/s") && page.contains("on air"), "{page}");
        assert!(page.contains(">7<"), "{page}");
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        for text in [PAGE, SCRIPT, STYLE] {
            assert!(!text.contains("//cdn") && !text.contains("https://"), "{text}");
            assert!(!text.contains("http://") && !text.contains("@import"), "{text}");
        }
        assert!(!SCRIPT.contains("innerHTML"), "text goes in as text");
    }
}

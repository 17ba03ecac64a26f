use super::*;

/// 2026-01-01 11:30 UTC.
const NOW: i64 = 1_767_267_000;

fn rules() -> Rules {
    Rules {
        channels: [("one.example".to_owned(), "one".to_owned())].into(),
        languages: vec!["de".into(), "en".into()],
        max_bytes: 1 << 20,
    }
}

fn taken(xml: &str) -> Taken {
    read(xml.as_bytes(), &rules(), NOW).unwrap()
}

fn refused(xml: &str) -> String {
    read(xml.as_bytes(), &rules(), NOW).err().expect("it is taken").to_string()
}

const FEED: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tv SYSTEM "xmltv.dtd">
<tv generator-info-name="x">
  <channel id="one.example"><display-name>One</display-name><icon src="http://logo"/></channel>
  <programme start="20260101130000 +0100" channel="one.example">
    <title lang="en">Next</title>
  </programme>
  <programme start="20260101120000 +0100" stop="20260101130000 +0100" channel="one.example">
    <title lang="en">The &quot;News&quot; &amp; weather</title>
    <title lang="de-CH">Die &#8222;Nachrichten&#x201c;</title>
    <sub-title>Part
       two</sub-title>
    <desc><![CDATA[<b>All</b> of it.]]></desc>
    <credits><actor>Nobody</actor></credits>
    <date>2025</date>
    <category lang="en">News</category><category>News</category><category>Live</category>
    <episode-num system="xmltv_ns">0.1.0/1</episode-num>
    <episode-num system="onscreen">S1 E2</episode-num>
    <icon src="http://picture"/>
    <rating system="FSK"><value>12</value><icon src="http://not-this"/></rating>
    <unknown><deep>x</deep></unknown>
  </programme>
  <programme start="20260101150000 +0100" channel="one.example"><title>Last</title></programme>
  <programme start="never" channel="two"><title>Left out</title></programme>
  <programme start="20260101150000 +0100" channel="two"/>
</tv>
"#;

#[test]
fn a_feed_is_read_whole() {
    let Taken { guide, left_out } = taken(FEED);
    assert_eq!(left_out, 2);
    assert_eq!(guide.channels.keys().collect::<Vec<_>>(), ["one"]);
    let [news, next, last] = guide.channels["one"].as_slice() else { panic!("{guide:?}") };
    let text = |text: &str| Some(text.to_owned());
    let wanted = Programme {
        start: NOW - 1800,
        end: NOW + 1800,
        title: "Die „Nachrichten“".into(),
        subtitle: text("Part two"),
        description: text("<b>All</b> of it."),
        categories: vec!["News".into(), "Live".into()],
        episode: text("S1 E2"),
        icon: text("http://picture"),
        rating: text("12"),
        year: Some(2025),
    };
    assert_eq!(*news, wanted);
    assert_eq!((next.title.as_str(), next.end - next.start), ("Next", 7200), "up to the one after");
    assert_eq!(last.end - last.start, UNKNOWN);
}

#[test]
fn what_is_broken_is_refused_with_its_line() {
    for (xml, wanted) in [
        ("", "line 1: the file ends early"),
        ("\n\nnothing", "line 3: the file ends early"),
        ("<html>\n</html>", "line 1: this is no XMLTV: it begins with <html>"),
        ("<tv>\n<programme>\n</tv>", "line 3: "),
        (&FEED[..FEED.len() / 2], "the file ends early"),
        ("<tv>\n\n</tv>", "line 3: the file holds no programme"),
        ("<tv/>", "line 1: the file holds no programme"),
        ("<tv>\n<programme channel='a'><title>x</title></programme></tv>", "(1 could not)"),
    ] {
        let said = refused(xml);
        assert!(said.contains(wanted), "{said} for {xml}");
    }
}

#[test]
fn a_feed_of_yesterday_is_refused() {
    let error = read(FEED.as_bytes(), &rules(), NOW + 7 * 86_400).err().unwrap();
    assert!(matches!(error.fault, Fault::Over | Fault::Empty(_)), "{error}");
}

#[test]
fn what_is_too_large_deep_or_long_is_bounded() {
    let programme =
        "<programme start=\"20260101120000 +0100\" channel=\"a\"><title>x</title></programme>\n";
    let large = format!("<tv>{}</tv>", programme.repeat(20_000));
    assert!(refused(&large).contains("larger than 1048576 bytes"), "{}", refused(&large));
    let deep = format!("<tv>{}", "<a>".repeat(100_000));
    assert!(refused(&deep).contains("deep"));
    let long = format!(
        "<tv><programme start=\"20260101120000 +0100\" channel=\"a\"><title>{}</title></programme></tv>",
        "ä".repeat(100_000)
    );
    assert_eq!(taken(&long).guide.channels["a"][0].title.chars().count(), SHORT + 1);
    // Entities of the file's own are not expanded: no billion laughs.
    let bomb = "<!DOCTYPE tv [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]>\n<tv>\
        <programme start=\"20260101120000 +0100\" channel=\"a\"><title>x&b;y</title></programme></tv>";
    assert_eq!(taken(bomb).guide.channels["a"][0].title, "x y");
}

#[test]
fn noise_never_panics() {
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    for _ in 0..300 {
        let mut bytes = FEED.as_bytes().to_vec();
        for _ in 0..6 {
            let at = noise() as usize % bytes.len();
            bytes[at] = noise() as u8;
        }
        let _outcome = read(bytes.as_slice(), &rules(), NOW);
    }
}

#[test]
fn channels_that_a_feed_says_nothing_of_keep_their_programmes() {
    let mut guide = taken(FEED).guide;
    let other =
        Programme { start: NOW, end: NOW + 60, title: "Other".into(), ..Programme::default() };
    let before = Guide {
        channels: [("two".to_owned(), vec![other.clone()]), ("one".to_owned(), vec![other])].into(),
    };
    guide.succeed(&before);
    assert_eq!(guide.channels["two"][0].title, "Other");
    assert_eq!(guide.channels["one"].len(), 3);
    guide.trim(NOW + 30 * 86_400);
    assert!(guide.is_empty());
}

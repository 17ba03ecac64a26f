//! Texts of DVB tables (ETSI EN 300 468, annex A).

use unicode_normalization::UnicodeNormalization as _;

/// The longest text that is read, bytes.
const MOST: usize = 1024;

/// A text, without what steers a display. Bytes of tables of characters that are not known become the replacement
/// character.
pub(super) fn decode(bytes: &[u8]) -> String {
    let bytes = bytes.get(..MOST).unwrap_or(bytes);
    let text: String = match bytes {
        [0x10, 0, part, rest @ ..] => latin(*part, rest),
        [0x11, rest @ ..] => {
            let pairs = rest.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair));
            char::decode_utf16(pairs).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        [0x15, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        // Parts 5 to 15 of ISO/IEC 8859.
        [table @ 1..=0x0b, rest @ ..] => latin(table + 4, rest),
        [0..=0x1f, rest @ ..] => rest.iter().map(|byte| plain(*byte)).collect(),
        _ => iso_6937(bytes),
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // Emphasis on and off, and what else is for a display alone.
            '\u{86}' | '\u{87}' | '\u{e086}' | '\u{e087}' => {}
            '\u{8a}' | '\u{e08a}' | '\n' | '\r' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ").nfc().collect()
}

fn plain(byte: u8) -> char {
    if byte < 0xa0 { char::from(byte) } else { char::REPLACEMENT_CHARACTER }
}

/// A part of ISO/IEC 8859.
fn latin(part: u8, bytes: &[u8]) -> String {
    let label: &[u8] = match part {
        1 => b"iso-8859-1",
        2 => b"iso-8859-2",
        3 => b"iso-8859-3",
        4 => b"iso-8859-4",
        5 => b"iso-8859-5",
        6 => b"iso-8859-6",
        7 => b"iso-8859-7",
        8 => b"iso-8859-8",
        9 => b"iso-8859-9",
        10 => b"iso-8859-10",
        11 => b"iso-8859-11",
        13 => b"iso-8859-13",
        14 => b"iso-8859-14",
        15 => b"iso-8859-15",
        _ => return bytes.iter().map(|byte| plain(*byte)).collect(),
    };
    // 0x80 to 0x9f steer the display, where the web's tables have letters.
    let kept: Vec<u8> = bytes
        .iter()
        .map(|byte| if *byte == 0x8a { b'\n' } else { *byte })
        .filter(|byte| !(0x80..0xa0).contains(byte))
        .collect();
    match encoding_rs::Encoding::for_label(label) {
        Some(table) => table.decode_without_bom_handling(&kept).0.into_owned(),
        None => kept.iter().map(|byte| plain(*byte)).collect(),
    }
}

/// The table that is meant where none is named: ISO/IEC 6937, in which accents stand before their letters.
fn iso_6937(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    let mut accent = None;
    for byte in bytes {
        if let Some(mark) = mark(*byte) {
            accent = Some(mark);
            continue;
        }
        out.push(letter(*byte));
        out.extend(accent.take());
    }
    out
}

/// The accent for the letter that follows.
fn mark(byte: u8) -> Option<char> {
    Some(match byte {
        0xc1 => '\u{300}',
        0xc2 => '\u{301}',
        0xc3 => '\u{302}',
        0xc4 => '\u{303}',
        0xc5 => '\u{304}',
        0xc6 => '\u{306}',
        0xc7 => '\u{307}',
        0xc8 => '\u{308}',
        0xca => '\u{30a}',
        0xcb => '\u{327}',
        0xcd => '\u{30b}',
        0xce => '\u{328}',
        0xcf => '\u{30c}',
        _ => return None,
    })
}

fn letter(byte: u8) -> char {
    const HIGH: [char; 96] = [
        '\u{a0}', '¡', '¢', '£', '€', '¥', '\u{fffd}', '§', '¤', '‘', '“', '«', '←', '↑', '→',
        '↓', //
        '°', '±', '²', '³', '×', 'µ', '¶', '·', '÷', '’', '”', '»', '¼', '½', '¾', '¿', //
        '\u{fffd}', '\u{fffd}', '\u{fffd}', '\u{fffd}', '\u{fffd}', '\u{fffd}', '\u{fffd}',
        '\u{fffd}', //
        '\u{fffd}', '\u{fffd}', '\u{fffd}', '\u{fffd}', '\u{fffd}', '\u{fffd}', '\u{fffd}',
        '\u{fffd}', //
        '―', '¹', '®', '©', '™', '♪', '¬', '¦', '\u{fffd}', '\u{fffd}', '\u{fffd}', '\u{fffd}',
        '⅛', '⅜', '⅝', '⅞', //
        'Ω', 'Æ', 'Đ', 'ª', 'Ħ', '\u{fffd}', 'Ĳ', 'Ŀ', 'Ł', 'Ø', 'Œ', 'º', 'Þ', 'Ŧ', 'Ŋ',
        'ŉ', //
        'ĸ', 'æ', 'đ', 'ð', 'ħ', 'ı', 'ĳ', 'ŀ', 'ł', 'ø', 'œ', 'ß', 'þ', 'ŧ', 'ŋ', '\u{ad}',
    ];
    match byte.checked_sub(0xa0) {
        None => char::from(byte),
        Some(high) => HIGH.get(usize::from(high)).copied().unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_that_broadcasters_use_is_read() {
        for (bytes, says) in [
            (&b"Plain"[..], "Plain"),
            // Accents before their letters.
            (b"T\xc8ur und Gr\xc8u\xfbe", "Tür und Grüße"),
            (b"caf\xc2e \xa4", "café €"),
            (b"\x05D\xfc\xfc\xfe", "Düüş"),
            (b"\x01\xc0\xda\xdb", "Ркл"),
            (b"\x0b\xa4 Gr\xfc\xdfe", "€ Grüße"),
            (b"\x10\x00\x02\xb3\xf3d\xbc", "łódź"),
            (b"\x11\x04\x1f\x04@", "Пр"),
            (b"\x15Z\xc3\xbcrich", "Zürich"),
            (b"\x86Titel\x87\x8ader Folge", "Titel der Folge"),
            (b"\x05\x86A\x8aB\x87", "A B"),
            (b"\x1f?", "?"),
            (b"", ""),
        ] {
            assert_eq!(decode(bytes), says, "{bytes:x?}");
        }
    }

    #[test]
    fn no_bytes_panic_and_nothing_steers_a_display() {
        for first in 0..=255u8 {
            for second in 0..=255u8 {
                let text = decode(&[first, second, second, first, 0x9f]);
                assert!(text.chars().all(|c| !c.is_control()), "{first} {second}: {text:?}");
            }
        }
        assert_eq!(decode(&[b'x'; 5000]).len(), MOST);
    }
}

//! Captions in the picture (ANSI/CTA-608-E, carried as of ATSC A/53 part 4): what the pairs of bytes that come with pictures
//! write on the screen. Text alone: colours, italics and places within a row are left out.

use cea608_types::tables::{Channel, Field};
use cea608_types::{Cea608, Cea608State, Id, Mode};

/// Rows of a screen.
const ROWS: usize = 15;
/// Characters in a row.
const COLUMNS: usize = 32;
/// How many services there are: CC1 to CC4.
const SERVICES: usize = 4;

/// All captions of a picture.
#[derive(Debug, Default)]
pub(super) struct Captions {
    fields: [Cea608State; 2],
    screens: [Screen; SERVICES],
}

/// What one service has written.
#[derive(Debug)]
struct Screen {
    mode: Option<Mode>,
    shown: Page,
    hidden: Page,
    row: usize,
    column: usize,
    used: bool,
}

/// Rows of characters.
#[derive(Clone, Debug)]
struct Page([[char; COLUMNS]; ROWS]);

impl Default for Page {
    fn default() -> Self {
        Self([[' '; COLUMNS]; ROWS])
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self {
            mode: None,
            shown: Page::default(),
            hidden: Page::default(),
            row: ROWS - 1,
            column: 0,
            used: false,
        }
    }
}

impl Captions {
    /// Takes the caption data of a picture: three bytes each, the first of which says what the other two are.
    pub(super) fn take(&mut self, data: &[u8]) {
        for &[what, first, second] in data.as_chunks().0 {
            // Bit 2: valid. Types 0 and 1: the fields of CEA-608; 2 and 3 are CEA-708.
            let field = usize::from(what & 3);
            if what & 4 == 0 || field > 1 {
                continue;
            }
            // What is damaged is left out.
            if let Ok(Some(code)) = self.fields[field].decode([first, second]) {
                let of = if field == 0 { Field::ONE } else { Field::TWO };
                self.screens[place(of, code.channel())].write(code);
            }
        }
    }

    /// The services that have written something, from 1.
    pub(super) fn services(&self) -> Vec<u8> {
        (1..)
            .zip(&self.screens)
            .filter(|(_, screen)| screen.used)
            .map(|(number, _)| number)
            .collect()
    }

    /// What a service, from 1, shows now: its rows, without those that are empty.
    pub(super) fn text(&self, service: u8) -> String {
        let screen = usize::from(service).checked_sub(1).and_then(|place| self.screens.get(place));
        screen.map(|screen| screen.shown.text()).unwrap_or_default()
    }
}

fn place(field: Field, channel: Channel) -> usize {
    match Id::from_caption_field_channel(field, channel) {
        Id::CC1 => 0,
        Id::CC2 => 1,
        Id::CC3 => 2,
        Id::CC4 => 3,
    }
}

impl Screen {
    fn write(&mut self, code: Cea608) {
        match code {
            Cea608::NewMode(_, mode) => self.begin(mode),
            Cea608::EraseDisplay(_) => self.shown = Page::default(),
            Cea608::EraseNonDisplay(_) => self.hidden = Page::default(),
            Cea608::CarriageReturn(_) => self.roll(),
            Cea608::Backspace(_) => self.back(),
            Cea608::EndOfCaption(_) => {
                self.mode = Some(Mode::PopOn);
                std::mem::swap(&mut self.shown, &mut self.hidden);
            }
            Cea608::TabOffset(_, columns) => self.go(self.column + usize::from(columns)),
            Cea608::DeleteToEndOfRow(_) => {
                let (row, column) = (self.row, self.column);
                self.page().0[row][column..].fill(' ');
            }
            Cea608::Preamble(_, code) => {
                self.move_to(usize::from(code.row()).min(ROWS - 1));
                self.go(code.column().into());
            }
            // It stands for a space.
            Cea608::MidRowChange(..) => self.put(' '),
            Cea608::Text(text) => {
                if text.needs_backspace {
                    self.back();
                }
                [text.char1, text.char2].into_iter().flatten().for_each(|c| self.put(c));
            }
        }
    }

    /// What is written to.
    fn page(&mut self) -> &mut Page {
        if self.mode == Some(Mode::PopOn) { &mut self.hidden } else { &mut self.shown }
    }

    fn begin(&mut self, mode: Mode) {
        if mode.is_rollup() && !self.mode.is_some_and(|before| before.is_rollup()) {
            (self.shown, self.hidden) = Default::default();
            (self.row, self.column) = (ROWS - 1, 0);
        }
        self.mode = Some(mode);
    }

    /// The rows that roll, from the uppermost to the one that is written.
    fn rolling(&self) -> Option<std::ops::RangeInclusive<usize>> {
        let rows = usize::from(self.mode?.rollup_rows()?);
        Some((self.row + 1).saturating_sub(rows)..=self.row)
    }

    fn roll(&mut self) {
        let Some(rows) = self.rolling() else { return };
        let page = &mut self.shown.0;
        page[..*rows.start()].fill([' '; COLUMNS]);
        page.copy_within(rows.start() + 1..=*rows.end(), *rows.start());
        page[*rows.end()] = [' '; COLUMNS];
        self.column = 0;
    }

    /// Goes to another row; rows that roll go with it.
    fn move_to(&mut self, row: usize) {
        if let Some(rows) = self.rolling().filter(|_| row != self.row) {
            let kept: Vec<_> = self.shown.0[rows].to_vec();
            self.shown = Page::default();
            let first = (row + 1).saturating_sub(kept.len());
            let skipped = kept.len() - (row + 1 - first);
            self.shown.0[first..=row].copy_from_slice(&kept[skipped..]);
        }
        self.row = row;
    }

    fn go(&mut self, column: usize) {
        self.column = column.min(COLUMNS - 1);
    }

    fn back(&mut self) {
        self.column = self.column.saturating_sub(1);
        let (row, column) = (self.row, self.column);
        self.page().0[row][column] = ' ';
    }

    fn put(&mut self, c: char) {
        if self.mode.is_none() {
            // Whoever comes in the middle of a caption waits for the next.
            return;
        }
        let (row, column) = (self.row, self.column);
        self.page().0[row][column] = c;
        self.used |= c != ' ';
        self.go(column + 1);
    }
}

impl Page {
    fn text(&self) -> String {
        let rows = self.0.iter().map(|row| row.iter().collect::<String>().trim().to_owned());
        rows.filter(|row| !row.is_empty()).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use cea608_types::Cea608Writer;
    use cea608_types::tables::{Code, Control, ControlCode, PreambleAddressCode, PreambleType};
    use proptest::prelude::*;

    use super::*;

    /// Caption data of the first field, one triplet for each picture: `Err` is a control code, sent twice as it should be.
    pub(crate) fn triplets(script: &[Result<&str, Control>]) -> Vec<[u8; 3]> {
        let mut out = Vec::new();
        for part in script {
            let mut writer = Cea608Writer::default();
            match part {
                Ok(text) => text.chars().for_each(|c| {
                    writer.push(Code::from_char(c, Channel::ONE).unwrap());
                }),
                Err(control) => {
                    for _ in 0..2 {
                        let code = ControlCode::new(Field::ONE, Channel::ONE, *control);
                        writer.push(Code::Control(code));
                    }
                }
            }
            while writer.n_codes() > 0 {
                let [first, second] = writer.pop();
                out.push([0xfc, first, second]);
            }
        }
        out
    }

    fn row(row: u8) -> Result<&'static str, Control> {
        let code = PreambleAddressCode::new(row, false, PreambleType::Indent4);
        Err(Control::PreambleAddress(code))
    }

    fn written(captions: &mut Captions, script: &[Result<&str, Control>]) -> String {
        captions.take(triplets(script).as_flattened());
        captions.text(1)
    }

    #[test]
    fn a_caption_pops_on_when_it_is_whole_and_goes_when_told() {
        let mut captions = Captions::default();
        assert_eq!(written(&mut captions, &[Ok("the end of something")]), "", "no beginning");
        let begin = [Err(Control::ResumeCaptionLoading), Err(Control::EraseNonDisplayedMemory)];
        assert_eq!(written(&mut captions, &begin), "");
        assert_eq!(
            written(&mut captions, &[row(12), Ok("Good evening,"), row(13), Ok("Zoë.")]),
            ""
        );
        assert_eq!(captions.services(), [1]);
        let shown = written(&mut captions, &[Err(Control::EndOfCaption)]);
        assert_eq!(shown, "Good evening,\nZoë.");
        assert_eq!(captions.text(2), "");
        assert_eq!(written(&mut captions, &[Err(Control::EraseDisplayedMemory)]), "");
    }

    #[test]
    fn rows_roll_up() {
        let mut captions = Captions::default();
        let mut script = vec![Err(Control::RollUp2)];
        for line in ["one", "two", "three"] {
            script.extend([Err(Control::CarriageReturn), row(14), Ok(line)]);
        }
        assert_eq!(written(&mut captions, &script), "two\nthree");
        assert_eq!(written(&mut captions, &[row(3)]), "two\nthree", "elsewhere on the screen");
        assert_eq!(written(&mut captions, &[Err(Control::CarriageReturn)]), "three");
    }

    #[test]
    fn what_was_typed_wrong_is_taken_back() {
        let mut captions = Captions::default();
        let script = [
            Err(Control::ResumeDirectionCaptioning),
            row(0),
            Ok("calx"),
            Err(Control::Backspace),
            Ok("m"),
        ];
        assert_eq!(written(&mut captions, &script), "calm");
    }

    proptest! {
        #[test]
        fn whatever_comes_does_no_harm(data in proptest::collection::vec(any::<[u8; 3]>(), 0..400)) {
            let mut captions = Captions::default();
            for mut triplet in data {
                triplet[0] = 4 | triplet[0] & 1;
                captions.take(&triplet);
            }
            for service in 0..6 {
                captions.text(service);
            }
        }
    }
}

//! What may go wrong while watching, in words that a viewer understands, with what the program does about it.
//!
//! The words are English; [`Words::id`] is what translations are looked up by. Texts are marked with [`mark`], so that
//! `xgettext --keyword=mark` finds them.

mod words;

use link::SessionError;

use crate::Error;

pub use words::Words;
use words::mark;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// Good to know; nothing is missing.
    Notice,
    /// Something is missing, or may be soon; the program goes on.
    Warning,
    /// There is no picture, or no way on without the viewer.
    Stops,
}

/// A problem.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    /// No platform answers at the address that was given.
    WrongServer {
        /// The address's host.
        server: String,
    },
    /// Wrong user or password.
    WrongPassword,
    /// The remembered sign-in does not hold any more.
    SessionExpired,
    /// Too many attempts to sign in.
    TooManyAttempts {
        /// When the next one is worth it.
        seconds: u64,
    },
    /// Neither auth nor rendezvous can be reached, and nothing comes.
    NoNetwork,
    /// A part of the platform cannot be reached.
    PlatformAway,
    /// The platform refuses, with its reason.
    Refused {
        /// The platform's words.
        why: String,
    },
    /// The channel is not in the package.
    NotEntitled {
        /// Its name.
        channel: String,
    },
    /// Nobody publishes the channel now.
    OffAir {
        /// Its name.
        channel: String,
    },
    /// The channel was joined and nothing of it arrives.
    NothingComes {
        /// Its name.
        channel: String,
    },
    /// The channel's source is interrupted.
    SourceGone {
        /// Its name.
        channel: String,
    },
    /// The line does not carry the channel.
    Downlink,
    /// There is sound and no picture, as not enough arrives.
    SoundOnly,
    /// The disk is full: less can be rewound.
    DiskFull,
    /// Nothing can be written: nearly nothing can be rewound.
    CacheOff {
        /// What the system says.
        why: String,
    },
    /// There is no sound device, or it cannot be used.
    NoSound,
    /// The picture cannot be shown.
    Picture {
        /// What the player says.
        why: String,
    },
    /// A setting could not be read.
    Setting {
        /// Which.
        key: String,
    },
    /// The settings cannot be written.
    SettingsNotKept {
        /// What the system says.
        why: String,
    },
    /// There is no secret store: the sign-in lies in a file.
    SecretInFile,
    /// The local address is taken.
    LocalAddress {
        /// Which.
        address: String,
    },
    /// The connection is paid by volume: nothing is sent to others.
    Metered,
    /// What may be sent in a month was sent.
    MonthlyLimit,
    /// Another one runs.
    Running,
    /// Something else.
    Other {
        /// What.
        why: String,
    },
}

impl Problem {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::PlatformAway
            | Self::SoundOnly
            | Self::DiskFull
            | Self::CacheOff { .. }
            | Self::NoSound
            | Self::SettingsNotKept { .. }
            | Self::LocalAddress { .. } => Severity::Warning,
            Self::Setting { .. } | Self::SecretInFile | Self::Metered | Self::MonthlyLimit => {
                Severity::Notice
            }
            _ => Severity::Stops,
        }
    }

    /// What is wrong.
    pub fn words(&self) -> Words {
        let plain = Words::new;
        match self {
            Self::WrongServer { server } => {
                plain(mark("No television platform answers at {server}.")).with("server", server)
            }
            Self::WrongPassword => plain(mark("The user name or the password is wrong.")),
            Self::SessionExpired => plain(mark("Your sign-in has ended.")),
            Self::TooManyAttempts { seconds } => plain(mark(
                "There were too many attempts to sign in. The next one is possible in {seconds} s.",
            ))
            .with("seconds", seconds),
            Self::NoNetwork => plain(mark("There is no connection to the platform.")),
            Self::PlatformAway => plain(mark("A part of the platform cannot be reached.")),
            Self::Refused { why } => plain(mark("The platform refuses: {why}")).with("why", why),
            Self::NotEntitled { channel } => {
                plain(mark("{channel} is not in your package.")).with("channel", channel)
            }
            Self::OffAir { channel } => {
                plain(mark("{channel} is not on air now.")).with("channel", channel)
            }
            Self::NothingComes { channel } => {
                plain(mark("Nothing of {channel} arrives.")).with("channel", channel)
            }
            Self::SourceGone { channel } => {
                plain(mark("The broadcaster sends no picture of {channel} now."))
                    .with("channel", channel)
            }
            Self::Downlink => {
                plain(mark("Your connection is too slow for this channel at the moment."))
            }
            Self::SoundOnly => plain(mark("Not enough arrives for the picture.")),
            Self::DiskFull => plain(mark("The disk is nearly full, so less can be rewound.")),
            Self::CacheOff { why } => {
                plain(mark("Only the last seconds can be rewound: {why}")).with("why", why)
            }
            Self::NoSound => plain(mark("There is no sound device, or another program holds it.")),
            Self::Picture { why } => {
                plain(mark("The picture cannot be shown: {why}")).with("why", why)
            }
            Self::Setting { key } => {
                plain(mark("The setting “{key}” could not be read.")).with("key", key)
            }
            Self::SettingsNotKept { why } => {
                plain(mark("Your settings cannot be saved: {why}")).with("why", why)
            }
            Self::SecretInFile => plain(mark("This system has no secret store.")),
            Self::LocalAddress { address } => {
                plain(mark("The address for other players, {address}, is in use."))
                    .with("address", address)
            }
            Self::Metered => plain(mark("This connection is paid by volume.")),
            Self::MonthlyLimit => {
                plain(mark("You have helped others with as much as you wanted to this month."))
            }
            Self::Running => plain(mark("Braidcast is running already.")),
            Self::Other { why } => plain("{why}").with("why", why),
        }
    }

    /// What the program does about it, or what the viewer can.
    pub fn doing(&self) -> Words {
        Words::new(match self {
            Self::WrongServer { .. } => mark("Please check the address and your connection."),
            Self::WrongPassword => mark("Please try again."),
            Self::SessionExpired => mark("Please sign in again."),
            Self::TooManyAttempts { .. } => mark("Please wait a moment."),
            Self::NoNetwork => mark("It goes on by itself as soon as the connection is back."),
            Self::PlatformAway => mark("What you watch goes on; the program keeps trying."),
            Self::Refused { .. } => mark("The program tries again now and then."),
            Self::NotEntitled { .. } => {
                mark("Please choose another channel, or ask your operator.")
            }
            Self::OffAir { .. } => mark("It starts by itself as soon as it is on air."),
            Self::NothingComes { .. } => mark("The program looks for other ways to it."),
            Self::SourceGone { .. } => {
                mark("It goes on by itself as soon as the broadcaster does.")
            }
            Self::Downlink => mark("The program goes on with what arrives."),
            Self::SoundOnly => mark("The sound goes on; the picture comes back by itself."),
            Self::DiskFull => mark("The oldest part of what can be rewound was given up."),
            Self::CacheOff { .. } => {
                mark("Playing goes on; the disk is tried again every half minute.")
            }
            Self::NoSound => mark("The picture goes on without sound."),
            Self::Picture { .. } => mark("The program starts the picture anew."),
            Self::Setting { .. } => mark("Its default is used; all other settings are kept."),
            Self::SettingsNotKept { .. } => mark("They hold until you close the program."),
            Self::SecretInFile => mark("Your sign-in is kept in a file that only you can read."),
            Self::LocalAddress { .. } => mark("Another free one is used."),
            Self::Metered => mark("Nothing is sent to others until the connection changes."),
            Self::MonthlyLimit => mark("Nothing more is sent until the next month."),
            Self::Running => mark("Please use its window."),
            Self::Other { .. } => {
                mark("Please try again; if it stays, save a report for your operator.")
            }
        })
    }
}

/// What a refusal of the platform means to a viewer; `channel` is the name of the one that was wanted.
pub fn of_session(error: &SessionError, channel: &str) -> Problem {
    let channel = channel.to_owned();
    match error {
        SessionError::AuthUnreachable(_) | SessionError::RendezvousUnreachable => {
            Problem::NoNetwork
        }
        SessionError::WrongPassword => Problem::WrongPassword,
        SessionError::TooMany(seconds) => Problem::TooManyAttempts { seconds: *seconds },
        SessionError::NotEntitled(_) => Problem::NotEntitled { channel },
        SessionError::NoSuchChannel(_) => Problem::OffAir { channel },
        SessionError::Credential(why) | SessionError::Refused(why) => {
            Problem::Refused { why: why.clone() }
        }
    }
}

/// What an error means to a viewer; `channel` is the name of the one that was wanted.
pub fn of_error(error: &Error, channel: &str) -> Problem {
    match error {
        Error::Session(error) => of_session(error, channel),
        Error::Forgotten(_) => Problem::SessionExpired,
        Error::NothingCame { .. } | Error::Ended(_) => {
            Problem::NothingComes { channel: channel.to_owned() }
        }
        Error::Locked(_) => Problem::Running,
        error => Problem::Other { why: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_says_what_and_what_is_done() {
        let name = || "One".to_owned();
        let problems = [
            Problem::WrongServer { server: "tv.example".into() },
            Problem::WrongPassword,
            Problem::SessionExpired,
            Problem::TooManyAttempts { seconds: 7 },
            Problem::NoNetwork,
            Problem::OffAir { channel: name() },
            Problem::CacheOff { why: "No space left on device".into() },
            Problem::NoSound,
        ];
        for problem in problems {
            for words in [problem.words(), problem.doing()] {
                let text = words.to_string();
                assert!(text.len() > 10 && text.ends_with(['.', 'e']), "{text}");
                assert!(!text.contains(['{', '}']), "{text}");
            }
        }
        let many = Problem::TooManyAttempts { seconds: 7 }.words();
        assert!(many.to_string().ends_with("possible in 7 s."), "{many}");
        assert_eq!(many.fill("Noch {seconds} s."), "Noch 7 s.");
    }

    #[test]
    fn a_filled_in_value_is_not_filled_in_again() {
        let words = Problem::Refused { why: "{why} {server}".into() }.words();
        assert_eq!(words.to_string(), "The platform refuses: {why} {server}");
    }

    #[test]
    fn what_stops_is_worst() {
        assert!(Problem::NoNetwork.severity() > Problem::NoSound.severity());
        assert!(Problem::NoSound.severity() > Problem::Metered.severity());
    }
}

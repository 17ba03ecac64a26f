//! The command-line arguments that every program has.

use std::path::PathBuf;

use serde::de::DeserializeOwned;

use crate::{config, logs};

/// Arguments shared by all programs; flatten it into the program's own.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Common options")]
pub struct Common {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// Validate the configuration, print what is wrong with line and key, and exit
    #[arg(long, global = true)]
    pub check: bool,

    /// What to log: error, warn, info, debug, trace, or filters such as "info,swarm=debug"
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = logs::parse_filter, global = true)]
    pub log: String,

    /// How to write the log
    #[arg(long, value_name = "FORMAT", default_value = "text", value_enum, global = true)]
    pub log_format: logs::Format,

    /// Write network addresses into the log; without it they are replaced by short marks
    #[arg(long, global = true)]
    pub log_addresses: bool,
}

impl Default for Common {
    /// What an empty command line gives.
    fn default() -> Self {
        Self {
            config: None,
            check: false,
            log: "info".into(),
            log_format: logs::Format::Text,
            log_addresses: false,
        }
    }
}

impl Common {
    /// Reads and checks the configuration file; without one, the defaults, which are checked too.
    ///
    /// Gives `None` when `--check` was asked for and all is well: the program has then printed so
    /// and should end with exit code 0.
    ///
    /// # Errors
    /// Every problem found, see [`config::Error`].
    pub fn configuration<T>(&self) -> Result<Option<T>, config::Error>
    where
        T: DeserializeOwned + Default + config::Check,
    {
        let config = match &self.config {
            Some(path) => config::load(path)?,
            None => config::defaults()?,
        };
        if self.check {
            match &self.config {
                Some(path) => println!("{}: the configuration is valid", path.display()),
                None => println!("the built-in configuration is valid"),
            }
            return Ok(None);
        }
        Ok(Some(config))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::{Check, Problems};

    #[derive(Debug, Parser)]
    struct Arguments {
        #[command(flatten)]
        common: Common,
    }

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Config {
        name: String,
    }

    impl Check for Config {
        fn check(&self, problems: &mut Problems) {
            if self.name.is_empty() {
                problems.add("name", "must be given");
            }
        }
    }

    #[test]
    fn an_empty_command_line_is_the_default() {
        let parsed = Arguments::parse_from(["x"]).common;
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Common::default()));
        assert!(Arguments::try_parse_from(["x", "--log", "swarm=loud"]).is_err());
    }

    #[test]
    fn a_check_gives_nothing_to_run_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        std::fs::write(&path, "name = 'a'").unwrap();
        let mut common = Common { config: Some(path.clone()), ..Common::default() };
        let read = common.configuration::<Config>().unwrap();
        assert_eq!(read, Some(Config { name: "a".into() }));
        common.check = true;
        assert_eq!(common.configuration::<Config>().unwrap(), None);
        std::fs::write(&path, "nam = 'a'").unwrap();
        let error = common.configuration::<Config>().unwrap_err().to_string();
        assert!(error.contains("did you mean `name`?"), "{error}");
    }

    #[test]
    fn without_a_file_the_defaults_are_checked() {
        let error = Common::default().configuration::<Config>().unwrap_err().to_string();
        assert_eq!(error, "built-in defaults (no --config FILE given): key `name`: must be given");
    }
}

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

//! `prefix ...`

use std::net::IpAddr;

use clap::Subcommand;
use ipnet::IpNet;
use ticket::{Country, Location};

use super::{Context, print};
use crate::store::Prefix;

/// What can be done with the prefix table.
#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Says where the addresses of a prefix are; said again, it replaces what was said before
    Add {
        /// Such as 192.0.2.0/24; an address alone stands for itself
        #[arg(value_parser = prefix)]
        cidr: IpNet,
        /// The operator's number for these addresses
        #[arg(long, value_name = "N")]
        subset: Option<u32>,
        /// Autonomous system number
        #[arg(long, value_name = "A")]
        asn: Option<u32>,
        /// ISO 3166-1 alpha-2 code
        #[arg(long, value_name = "CC")]
        country: Option<Country>,
    },
    /// Lists the table
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Removes a prefix
    Remove {
        /// As it stands in the list
        #[arg(value_parser = prefix)]
        cidr: IpNet,
    },
}

fn prefix(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "write an address and a length, such as 192.0.2.0/24".into())
}

pub(super) async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let store = &context.store;
    match command {
        Command::Add { cidr, subset, asn, country } => {
            let prefix = cidr.trunc();
            store
                .set_prefix(&Prefix { prefix, location: Location { subset, asn, country } })
                .await?;
            println!("prefix {prefix} set");
        }
        Command::List { json } => {
            let prefixes = store.prefixes().await?;
            if json {
                let rows: Vec<_> = prefixes
                    .iter()
                    .map(|Prefix { prefix, location }| {
                        serde_json::json!({
                            "prefix": prefix,
                            "subset": location.subset,
                            "asn": location.asn,
                            "country": location.country,
                        })
                    })
                    .collect();
                return print::json(&rows);
            }
            let rows: Vec<_> = prefixes
                .into_iter()
                .map(|Prefix { prefix, location }| {
                    [
                        prefix.to_string(),
                        print::or_dash(location.subset),
                        print::or_dash(location.asn),
                        print::or_dash(location.country),
                    ]
                })
                .collect();
            print::table(["PREFIX", "SUBSET", "ASN", "COUNTRY"], &rows)?;
        }
        Command::Remove { cidr } => {
            store.remove_prefix(cidr).await?;
            println!("prefix {} removed", cidr.trunc());
        }
    }
    Ok(())
}

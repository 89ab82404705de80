//! The flags of `pai-notification run`. Each is also an environment variable and a chart value.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use jiff::SignedDuration;

/// Where a Pod finds its own namespace.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Flags of the operator.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, env = "PAI_NOTIFICATION_OPS_ADDRESS", default_value = "0.0.0.0:8081")]
    pub ops_address: SocketAddr,

    /// Namespace of the Lease and the checkpoint. Default: the Pod's own, else pai-notification-system.
    #[arg(long, env = "PAI_NOTIFICATION_NAMESPACE")]
    pub namespace: Option<String>,

    /// The operator's `ServiceAccount` in that namespace: "Grant Access" binds it.
    #[arg(long, env = "PAI_NOTIFICATION_SERVICE_ACCOUNT", default_value = "pai-notification")]
    pub service_account: String,

    /// Elect a leader among the replicas. With false, this process always leads: run only one.
    #[arg(long, env = "PAI_NOTIFICATION_LEADER_ELECT", default_value_t = true, action = clap::ArgAction::Set)]
    pub leader_elect: bool,

    /// Oldest event that may still be notified, such as 24h.
    #[arg(long, env = "PAI_NOTIFICATION_LOOKBACK", default_value = "24h", value_parser = duration)]
    pub lookback: SignedDuration,

    /// Addresses that targets may have although they are refused by default (loopback, link-local, metadata, ...).
    /// May be given several times.
    #[arg(long, env = "PAI_NOTIFICATION_ALLOW_TARGET_CIDR", value_delimiter = ',')]
    pub allow_target_cidr: Vec<IpNet>,

    /// Addresses that targets must not have, such as 10.0.0.0/8. Wins over what is allowed. May be given several times.
    #[arg(long, env = "PAI_NOTIFICATION_DENY_TARGET_CIDR", value_delimiter = ',')]
    pub deny_target_cidr: Vec<IpNet>,

    /// Form of the logs. Default: json in a Pod, else text. The level is set by `RUST_LOG`, such as info or `pai_notification=debug`.
    #[arg(long, env = "PAI_NOTIFICATION_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// Form of the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl RunArgs {
    /// The namespace of the Lease and the checkpoint.
    #[must_use]
    pub fn own_namespace(&self) -> String {
        let own = || std::fs::read_to_string(OWN_NAMESPACE).ok().map(|name| name.trim().to_owned());
        self.namespace.clone().or_else(own).unwrap_or_else(|| "pai-notification-system".to_owned())
    }

    /// The form of the logs.
    #[must_use]
    pub fn log_format(&self) -> LogFormat {
        let by_place = if PathBuf::from(OWN_NAMESPACE).exists() { LogFormat::Json } else { LogFormat::Text };
        self.log_format.unwrap_or(by_place)
    }
}

fn duration(text: &str) -> Result<SignedDuration, String> {
    let parsed: kube::core::Duration =
        text.parse().map_err(|error| format!("{error}; write it like 24h, 90m or 30s"))?;
    if parsed.is_negative() {
        return Err("must not be negative".to_owned());
    }
    SignedDuration::try_from(std::time::Duration::from(parsed)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Only {
        #[command(flatten)]
        args: RunArgs,
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let args = Only::parse_from(["run"]).args;
        assert_eq!(args.lookback, SignedDuration::from_hours(24));
        assert_eq!(args.ops_address.to_string(), "0.0.0.0:8081");
        assert!(args.leader_elect);
        assert_eq!(args.service_account, "pai-notification");
    }

    #[test]
    fn a_wrong_duration_says_how_to_write_one() {
        assert!(duration("1 day").unwrap_err().contains("24h"));
        assert!(duration("-1h").is_err());
        assert_eq!(duration("90m").unwrap(), SignedDuration::from_mins(90));
    }
}

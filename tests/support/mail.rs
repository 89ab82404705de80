//! A real SMTP server for tests: Mailpit, as a process on the loopback interface, with a login that it demands.
//!
//! It takes every letter and delivers none; a test reads what came. On demand it refuses at a stage of the dialogue.
//! The program is built by `tests/cluster/build.sh` on the first use. It ends when the [`Mailpit`] is dropped, and also
//! when this process ends in whatever way, by a watchdog that waits for its pipe to close. Needs `mod robot` beside it,
//! for the certificates.

#![allow(dead_code, reason = "every test binary includes this file and uses a part of it")]

#[path = "mail/letter.rs"]
mod letter;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::robot::{Authority, Identity};
pub use letter::Letter;

/// The user that may send.
pub const USER: &str = "sender@mail.example";
/// Its password.
pub const PASSWORD: &str = "letters-and-9-digits";

const START_DEADLINE: Duration = Duration::from_secs(15);
/// A port that was free may be taken the moment after.
const TRIES: usize = 5;

/// How the connection is protected.
#[derive(Clone, Debug)]
pub enum Security {
    /// Not at all.
    Plain,
    /// By a command, without which the server takes no other. With this certificate.
    StartTls(Identity),
    /// From the first byte. With this certificate.
    Tls(Identity),
}

impl Security {
    /// [`Security::StartTls`] with a certificate for this machine.
    #[must_use]
    pub fn start_tls(authority: &Authority) -> Self {
        Self::StartTls(authority.server())
    }

    /// [`Security::Tls`] with a certificate for this machine.
    #[must_use]
    pub fn tls(authority: &Authority) -> Self {
        Self::Tls(authority.server())
    }
}

/// A command of the dialogue at which the server can be told to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `AUTH`
    Login,
    /// `MAIL FROM`
    Sender,
    /// `RCPT TO`
    Recipient,
}

/// A running server.
pub struct Mailpit {
    smtp_port: u16,
    http: String,
    client: reqwest::Client,
    program: Child,
    watchdog: Child,
    dir: TempDir,
}

impl Mailpit {
    /// Starts a server, and waits until it takes letters.
    pub async fn start(security: &Security) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        build().await?;
        let mut tries = 0;
        loop {
            tries += 1;
            let mut server = Self::spawn(security)?;
            match server.wait_until_ready().await {
                Ok(()) => return Ok(server),
                Err(error) if tries == TRIES => return Err(error),
                Err(_) => {}
            }
        }
    }

    fn spawn(security: &Security) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("pai-mail-").tempdir()?;
        let [smtp_port, http_port] = free_ports()?;
        let at = |name: &str| dir.path().join(name);
        fs::write(at("login"), format!("{USER}:{PASSWORD}\n"))?;
        let log = fs::File::create(at("log"))?;
        let mut command = Command::new(program());
        command.args(["--disable-version-check", "--smtp-disable-rdns", "--enable-chaos"]);
        command.arg(format!("--smtp=127.0.0.1:{smtp_port}")).arg(format!("--listen=127.0.0.1:{http_port}"));
        command.arg("--smtp-auth-file").arg(at("login")).arg("--database").arg(at("letters.db"));
        match security {
            Security::Plain => {
                command.arg("--smtp-auth-allow-insecure");
            }
            Security::StartTls(identity) | Security::Tls(identity) => {
                fs::write(at("certificate.pem"), &identity.certificate)?;
                fs::write(at("key.pem"), &identity.key)?;
                command.arg("--smtp-tls-cert").arg(at("certificate.pem")).arg("--smtp-tls-key").arg(at("key.pem"));
                let starts = matches!(security, Security::StartTls(_));
                command.arg(if starts { "--smtp-require-starttls" } else { "--smtp-require-tls" });
            }
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let program = command.spawn().context("starting mailpit")?;
        let watchdog = Command::new("sh")
            .args(["-c", "trap '' INT HUP TERM QUIT; read -r _; kill -TERM \"$0\"; rm -rf \"$1\""])
            .arg(program.id().to_string())
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the watchdog of mailpit")?;
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        Ok(Self { smtp_port, http: format!("http://127.0.0.1:{http_port}"), client, program, watchdog, dir })
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        loop {
            let log = || fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            if let Some(status) = self.program.try_wait()? {
                bail!("mailpit ended by itself: {status}\n{}", log());
            }
            let answers = self.client.get(format!("{}/readyz", self.http)).send().await;
            let ready = answers.is_ok_and(|reply| reply.status().is_success());
            if ready && tokio::net::TcpStream::connect(("127.0.0.1", self.smtp_port)).await.is_ok() {
                return Ok(());
            }
            ensure!(started.elapsed() < START_DEADLINE, "mailpit is not ready after {START_DEADLINE:?}\n{}", log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Where to send: on `127.0.0.1`, which is `localhost` too.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.smtp_port
    }

    /// Every letter so far, in the order of arrival.
    pub async fn letters(&self) -> Result<Vec<Letter>> {
        let list = self.get("messages?limit=1000").await?;
        let mut letters = Vec::new();
        for summary in list["messages"].as_array().into_iter().flatten().rev() {
            let id = summary["ID"].as_str().context("a letter has no id")?;
            let (message, headers) =
                (self.get(&format!("message/{id}")).await?, self.get(&format!("message/{id}/headers")).await?);
            letters.push(Letter::read(&message, &headers));
        }
        Ok(letters)
    }

    /// Waits until at least `n` letters came.
    pub async fn wait_for(&self, n: usize, deadline: Duration) -> Result<Vec<Letter>> {
        let started = Instant::now();
        loop {
            let count = self.get("messages?limit=1").await?["total"].as_u64().unwrap_or_default();
            if usize::try_from(count)? >= n {
                return self.letters().await;
            }
            ensure!(started.elapsed() < deadline, "{count} of {n} letters after {deadline:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// From now on refuses at this stage with this code, from 400 to 599.
    pub async fn refuse(&self, stage: Stage, code: u16) -> Result<()> {
        let name = match stage {
            Stage::Login => "Authentication",
            Stage::Sender => "Sender",
            Stage::Recipient => "Recipient",
        };
        self.set_chaos(&json!({name: {"ErrorCode": code, "Probability": 100}})).await
    }

    /// Refuses no more.
    pub async fn take_all(&self) -> Result<()> {
        self.set_chaos(&json!({})).await
    }

    async fn set_chaos(&self, triggers: &Value) -> Result<()> {
        let request = self.client.put(format!("{}/api/v1/chaos", self.http)).body(triggers.to_string());
        request.send().await?.error_for_status()?;
        Ok(())
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let reply = self.client.get(format!("{}/api/v1/{path}", self.http)).send().await?.error_for_status()?;
        Ok(serde_json::from_slice(&reply.bytes().await?)?)
    }
}

impl Drop for Mailpit {
    fn drop(&mut self) {
        if matches!(self.program.try_wait(), Ok(None)) {
            // Until the program is collected, its pid can belong to nobody else.
            drop(self.watchdog.stdin.take());
        } else {
            let _ = self.watchdog.kill();
        }
        let _ = self.watchdog.wait();
        let _ = self.program.wait();
    }
}

fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cluster/bin/mailpit")
}

/// Builds the program if this machine has none yet.
async fn build() -> Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/build.sh");
    let output = tokio::process::Command::new(script).arg("mailpit").output().await.context("building mailpit")?;
    ensure!(output.status.success(), "mailpit was not built: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Two ports of the loopback that are free now.
fn free_ports() -> Result<[u16; 2]> {
    let one = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok([one.local_addr()?.port(), other.local_addr()?.port()])
}

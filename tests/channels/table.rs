//! Tables: what a receiver does, and what has to come of it, for every channel.

use futures::stream::{self, StreamExt as _};
use pai_notification::channel::{Client, Outcome};

use crate::form::{Form, Kind};
use crate::line::{Far, Line, client};
use crate::news::{JOB, News};
use crate::robot::Behaviour;
use crate::smtp::{Act, At, Script};
use crate::{SHORT, SOON};

/// What a row says about one channel.
pub enum Cell {
    /// It makes no sense there, and why.
    Not(&'static str),
    /// What is done and what comes of it.
    When(Box<Case>),
}

pub struct Case {
    does: Does,
    then: Then,
    hurried: bool,
}

/// What the receiver does.
pub enum Does {
    Inbox(Behaviour),
    Mail(Script),
}

/// What has to come of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Then {
    label: &'static str,
    code: String,
    /// For how many seconds the receiver wants silence, if it says so.
    silence: Option<u64>,
    /// How often the message is shown.
    shown: usize,
}

/// A row: what happens, and the channels' answers.
pub type Row = (&'static str, fn(Kind) -> Cell);

impl Cell {
    /// A robot, a gateway or an endpoint does this.
    pub fn inbox(behaviour: Behaviour, label: &'static str, code: &str) -> Self {
        Self::new(Does::Inbox(behaviour), label, code)
    }

    /// A mail server does this.
    pub fn mail(at: At, act: Act, label: &'static str, code: &str) -> Self {
        Self::new(Does::Mail(Script { at, act }), label, code)
    }

    fn new(does: Does, label: &'static str, code: &str) -> Self {
        let then = Then { label, code: code.to_owned(), silence: None, shown: 0 };
        Self::When(Box::new(Case { does, then, hurried: false }))
    }

    /// And the message is shown.
    pub fn shown(self) -> Self {
        self.change(|case| case.then.shown = 1)
    }

    /// And the receiver wants so many seconds of silence.
    pub fn silent_for(self, seconds: u64) -> Self {
        self.change(|case| case.then.silence = Some(seconds))
    }

    /// And the attempt has only a short time.
    pub fn hurried(self) -> Self {
        self.change(|case| case.hurried = true)
    }

    fn change(mut self, change: impl FnOnce(&mut Case)) -> Self {
        if let Self::When(case) = &mut self {
            change(case);
        }
        self
    }
}

impl Then {
    fn of(outcome: &Outcome, shown: usize) -> Self {
        let silence = match outcome {
            Outcome::Throttled { retry_after, .. } => retry_after.map(|time| time.as_secs()),
            _ => None,
        };
        Self { label: outcome.label(), code: outcome.code().to_owned(), silence, shown }
    }
}

/// Runs every row for every form, and says everything that is not as it has to be.
pub async fn check(table: &[Row]) {
    let client = &client();
    let cells = table.iter().flat_map(|row| Form::ALL.map(|form| (*row, form)));
    let wrong: Vec<String> = stream::iter(cells)
        .map(|((what, row), form)| async move {
            match row(form.kind()) {
                Cell::When(case) => run(client, form, &case).await.map(|wrong| format!("{form:?}, {what}: {wrong}")),
                Cell::Not(why) => why.is_empty().then(|| format!("{form:?}, {what}: why not?")),
            }
        })
        .buffer_unordered(64)
        .filter_map(std::future::ready)
        .collect()
        .await;
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What is wrong, if anything is.
async fn run(client: &Client, form: Form, case: &Case) -> Option<String> {
    let Case { does, then, hurried } = case;
    let mut line = match does {
        Does::Inbox(_) => Line::open(form, client).await,
        Does::Mail(script) => Line::scripted(form, client, script).await,
    };
    if let (Does::Inbox(behaviour), Far::Inbox(_, inbox)) = (does, &line.far) {
        inbox.behave(behaviour.clone());
    }
    line.timeout = if *hurried { SHORT } else { SOON };
    let outcome = line.send(&News::of(JOB), "msg_1").await;
    let seen = line.seen().await;
    let found = Then::of(&outcome, seen.len());
    if found != *then {
        return Some(format!("{found:?} instead of {then:?}; {outcome:?}"));
    }
    if found.label != "delivered" && outcome.message().is_empty() {
        return Some(format!("nothing is said: {outcome:?}"));
    }
    seen.iter().find(|shown| !shown.tells(JOB)).map(|shown| format!("no word of {JOB}: {shown:?}"))
}

/// Does this for every form, all at the same time, with a client that may reach this machine.
pub async fn each_form(check: impl AsyncFn(Form, Client)) {
    let client = client();
    let all = Form::ALL.map(|form| check(form, client.clone()));
    futures::future::join_all(all).await;
}

/// The channel's code for what it accepted.
pub const fn success(kind: Kind) -> &'static str {
    match kind {
        Kind::DingTalk | Kind::WeCom | Kind::Lark => "0",
        Kind::Http => "204",
        Kind::TextMessage | Kind::VoiceCall => "OK",
        Kind::Email => "250",
    }
}

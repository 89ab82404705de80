//! Wrong keys, unknown tokens, clocks that differ: the receiver's own code, and nothing shown.

use std::time::Duration;

use crate::form::Form::{
    self, DingTalkCard, DingTalkMarkdown, DingTalkText, EmailPlain, EmailStartTls, EmailTls, HttpBearer, HttpBinary,
    HttpClientCertificate, HttpHandshake, HttpOwnCa, HttpSigned, HttpStructured, HttpTemplate, LarkSigned,
    LarkUnsigned, TextMessage, VoiceCall, WeComMarkdown, WeComText,
};
use crate::line::{Far, Line};
use crate::news::{JOB, News};
use crate::robot::{Authority, Consent};
use crate::table::{each_form, success};

/// What is changed about a line, and what comes of it.
type Row = (&'static str, fn(Form) -> Change);

enum Change {
    /// There is nothing of the kind to change, and why.
    Not(&'static str),
    /// Done before the message is sent; then label and code.
    Then(fn(&mut Line), &'static str, &'static str),
}

#[tokio::test]
async fn who_is_not_known_is_told_so_by_the_receivers_own_code() {
    let table: [Row; 4] = [
        ("another key", another_key),
        ("an unknown token", unknown_token),
        ("an unknown account", unknown_account),
        ("a clock that is an hour and a half off", another_time),
    ];
    each_form(async |form, client| {
        for (what, row) in table {
            let (change, label, code) = match row(form) {
                Change::Then(change, label, code) => (change, label, code),
                Change::Not(why) => {
                    assert!(!why.is_empty(), "{form:?}, {what}");
                    continue;
                }
            };
            let mut line = Line::open(form, &client).await;
            change(&mut line);
            let outcome = line.send(&News::of(JOB), "msg_1").await;
            assert_eq!((outcome.label(), outcome.code()), (label, code), "{form:?}, {what}: {outcome:?}");
            assert_eq!(line.seen().await.len(), usize::from(label == "delivered"), "{form:?}, {what}");
        }
    })
    .await;
}

fn another_key(form: Form) -> Change {
    match form {
        DingTalkMarkdown | DingTalkText | DingTalkCard => {
            Change::Then(|line| line.secrets.set("target", "key", "SECanother"), "permanent", "310000")
        }
        LarkSigned => Change::Then(|line| line.secrets.set("target", "key", "SECanother"), "permanent", "19021"),
        HttpSigned => Change::Then(|line| line.secrets.set("target", "keys", "whsec_YW5vdGhlcg=="), "permanent", "401"),
        HttpBearer => Change::Then(|line| line.secrets.set("target", "bearer", "another"), "permanent", "401"),
        HttpClientCertificate => Change::Then(
            |line| {
                let stranger = Authority::new().client("stranger");
                line.secrets.set("client", "tls.crt", &stranger.certificate);
                line.secrets.set("client", "tls.key", &stranger.key);
            },
            "transient",
            "TlsError",
        ),
        TextMessage | VoiceCall => Change::Then(
            |line| line.secrets.set("aliyun", "accessKeySecret", "another"),
            "permanent",
            "SignatureDoesNotMatch",
        ),
        EmailTls | EmailStartTls | EmailPlain => {
            Change::Then(|line| line.secrets.set("smtp", "password", "another"), "permanent", "535")
        }
        WeComMarkdown | WeComText => Change::Not("the token in the URL is all there is"),
        LarkUnsigned | HttpStructured | HttpBinary | HttpTemplate | HttpOwnCa => Change::Not("nothing is signed"),
        HttpHandshake => Change::Then(
            |line| line.inbox().consent(Consent::Given { origin: "another.example".to_owned(), rate: None }),
            "transient",
            "ConsentWithheld",
        ),
    }
}

fn unknown_token(form: Form) -> Change {
    let change = |line: &mut Line| line.with_token("tok-nobody");
    match form {
        DingTalkMarkdown | DingTalkText | DingTalkCard => Change::Then(change, "permanent", "300001"),
        WeComMarkdown | WeComText => Change::Then(change, "permanent", "93000"),
        LarkSigned | LarkUnsigned => Change::Then(change, "permanent", "19001"),
        HttpStructured | HttpBinary | HttpTemplate | HttpSigned | HttpBearer | HttpOwnCa | HttpClientCertificate => {
            Change::Then(change, "permanent", "404")
        }
        HttpHandshake => Change::Then(change, "transient", "ConsentWithheld"),
        TextMessage | VoiceCall | EmailTls | EmailStartTls | EmailPlain => {
            Change::Not("the address holds no token; see the unknown account")
        }
    }
}

fn unknown_account(form: Form) -> Change {
    match form {
        TextMessage | VoiceCall => Change::Then(
            |line| line.secrets.set("aliyun", "accessKeyId", "LTAInobody"),
            "permanent",
            "InvalidAccessKeyId.NotFound",
        ),
        EmailTls | EmailStartTls | EmailPlain => {
            Change::Then(|line| line.secrets.set("smtp", "username", "nobody@mail.example"), "permanent", "535")
        }
        DingTalkMarkdown
        | DingTalkText
        | DingTalkCard
        | WeComMarkdown
        | WeComText
        | LarkSigned
        | LarkUnsigned
        | HttpStructured
        | HttpBinary
        | HttpTemplate
        | HttpSigned
        | HttpBearer
        | HttpOwnCa
        | HttpClientCertificate
        | HttpHandshake => Change::Not("there are no accounts; see the unknown token"),
    }
}

/// Who signs with a time is refused; all others do not notice.
fn another_time(form: Form) -> Change {
    let change = |line: &mut Line| match &line.far {
        Far::Inbox(receiver, _) => receiver.advance_clock(Duration::from_mins(90)),
        Far::Mailpit(_) | Far::Script(_) => unreachable!("it has no clock to be moved"),
    };
    match form {
        DingTalkMarkdown | DingTalkText | DingTalkCard => Change::Then(change, "permanent", "310000"),
        LarkSigned => Change::Then(change, "permanent", "19021"),
        HttpSigned => Change::Then(change, "permanent", "401"),
        TextMessage | VoiceCall => Change::Then(change, "permanent", "InvalidTimeStamp.Expired"),
        WeComMarkdown
        | WeComText
        | LarkUnsigned
        | HttpStructured
        | HttpBinary
        | HttpTemplate
        | HttpBearer
        | HttpOwnCa
        | HttpClientCertificate
        | HttpHandshake => Change::Then(change, "delivered", success(form.kind())),
        EmailTls | EmailStartTls | EmailPlain => Change::Not("a mail server takes letters of any date"),
    }
}

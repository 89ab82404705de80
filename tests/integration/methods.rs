//! Every delivery method, on the real control plane: robots of three vendors, endpoints, and people.

use std::time::Duration;

use pai_notification::api::event_target::{ContactMethod, TestResult};
use pai_notification::api::notice::{DeliveryState, Phase};
use pai_notification::api::{EventTarget, Notice, NoticeRule, Workspace};
use serde_json::{Value, json};

use crate::mail::{self, Mailpit, Security};
use crate::robot::{Authority, Behaviour, Endpoint, Gateway, Inbox, Lark, Receiver, Tls, WeCom};
use crate::scene::{QUIET, SOON, Scene, message};

#[tokio::test]
async fn every_robot_shows_the_message_and_answers_a_connectivity_test() {
    let (scene, ding, _) = Scene::in_force("robots").await;
    let wecom = scene.receiver.wecom(WeCom::new("robots-wecom"));
    let lark = scene.receiver.lark(Lark::new("robots-lark").with_signing_key("lark-key"));
    scene.secret("keys", json!({"wecom": wecom.url(), "lark": lark.url(), "lark-key": "lark-key"})).await;
    let reference = |key: &str| json!({"secretKeyRef": {"name": "keys", "key": key}});
    let mention = json!({"userIds": ["oncall"], "mobiles": ["13900000000"]});
    scene.target("wecom", json!({"weCom": {"webhook": reference("wecom"), "mention": mention}})).await;
    let mention = json!({"openIds": ["ou_1"], "all": true});
    scene
        .target(
            "lark",
            json!({"lark": {"webhook": reference("lark"), "signingKey": reference("lark-key"), "mention": mention}}),
        )
        .await;
    let _operator = scene.operator().await;
    let targets = ["oncall", "wecom", "lark"];
    scene.rule("ends", &["JobFailed"], &targets).await;
    scene.rule_ready("ends").await;
    scene.job("nightly", json!({"outcome": "fail"}), json!({})).await;
    for (target, inbox) in targets.into_iter().zip([&ding, &wecom, &lark]) {
        let delivery = scene.delivery("nightly", target, |d| d.state == DeliveryState::Delivered).await;
        assert_eq!((delivery.code.as_deref(), delivery.attempts), (Some("0"), 1), "{target}");
        let shown = inbox.messages();
        let text = format!("{} {}", shown[0].title, shown[0].text);
        assert!(shown.len() == 1 && text.contains("nightly"), "{target}: {shown:?}");
        scene.ask_for_test(target, "1").await;
    }
    for (target, inbox) in targets.into_iter().zip([&ding, &wecom, &lark]) {
        assert_eq!(scene.test_answer(target, "1").await.result, TestResult::Succeeded, "{target}");
        let shown = inbox.messages();
        let text = format!("{} {}", shown[1].title, shown[1].text);
        assert!(shown.len() == 2 && text.contains("Connectivity test"), "{target}: {shown:?}");
    }
    for (target, behaviour, code) in [
        ("wecom", Behaviour::code(93_000, "invalid webhook url, hint: [1], from ip: 203.0.113.7"), "93000"),
        ("lark", Behaviour::lark_code(19_021, "sign match fail"), "19021"),
    ] {
        let inbox = if target == "wecom" { &wecom } else { &lark };
        inbox.behave(behaviour);
        scene.ask_for_test(target, "2").await;
        let test = scene.test_answer(target, "2").await;
        assert_eq!(test.result, TestResult::Failed);
        assert!(test.message.contains(code) && !test.message.contains("203.0.113.7"), "{test:?}");
    }
    assert_eq!(scene.notices().await.len(), 1, "a test is no notification");
}

/// The message settings of a workspace: a mail server and a gateway.
fn settings(mailpit: &Mailpit, gateway: &Inbox) -> Value {
    let (aliyun, smtp) = (json!({"name": "aliyun"}), json!({"name": "smtp"}));
    json!({"messageSettings": {
        "email": {"smtp": {"host": "127.0.0.1", "port": mailpit.port(), "security": "Tls", "from": "PAI <pai@example.com>",
            "credentialsRef": smtp, "caRef": {"name": "smtp"}}},
        "textMessage": {"aliyun": {"endpoint": gateway.url(), "signName": "PAI", "templateCode": "SMS_1", "credentialsRef": aliyun}},
        "voiceCall": {"aliyun": {"endpoint": gateway.url(), "ttsCode": "TTS_1", "credentialsRef": aliyun}},
    }})
}

#[tokio::test]
async fn people_are_reached_by_each_of_their_methods_once_the_workspace_has_the_gateways() {
    let scene = Scene::new("people").await;
    scene.workspace(json!({"quota": {"targetsPerRule": 4}})).await;
    let authority = Authority::new();
    let mailpit = Mailpit::start(&Security::tls(&authority)).await.unwrap();
    let variables = ["title", "workspace", "name", "event", "status", "reason", "time"];
    let gateway =
        Gateway::new("key-id", "key-secret").with_sms("PAI", "SMS_1", &variables).with_voice("TTS_1", &variables);
    let gateway = scene.receiver.gateway(gateway.with_real_budget());
    scene.secret("aliyun", json!({"accessKeyId": "key-id", "accessKeySecret": "key-secret"})).await;
    let login = json!({"username": mail::USER, "password": mail::PASSWORD, "ca.crt": authority.pem()});
    scene.secret("smtp", login).await;
    scene
        .target(
            "people",
            json!({"contacts": [
                {"name": "first", "phone": "+8613900000000", "email": "first@example.com",
                    "methods": ["VoiceCall", "TextMessage", "Email"]},
                {"name": "second", "email": "second@example.com", "methods": ["Email"]},
            ]}),
        )
        .await;
    scene.endpoint_target("audit").await;
    let _operator = scene.operator().await;
    let why = scene.target_is("people", "MessageSettingsMissing").await;
    assert!(why.contains("spec.messageSettings.voiceCall of Workspace people"), "{why}");
    scene.rule("ends", &["JobFailed"], &["people", "audit"]).await;
    let rule = scene.wait::<NoticeRule>("ends", |rule| rule.status.as_ref().is_some_and(|s| s.quota.is_some())).await;
    assert_eq!(rule.status.unwrap().targets[0].units, 4);
    scene.wait::<NoticeRule>("ends", |rule| rule.status.as_ref().is_some_and(|s| !s.conditions.is_empty())).await;

    // It happens while the gateways are missing, and is delivered when they are there.
    scene.patch_workspace(json!({"quota": {"targetsPerRule": 5}})).await;
    scene.rule_ready("ends").await;
    scene.job("nightly", json!({"outcome": "fail"}), json!({})).await;
    scene.delivery("nightly", "people", |d| d.method == Some(ContactMethod::Email) && d.attempts == 0).await;
    scene.patch_workspace(settings(&mailpit, &gateway)).await;
    scene.target_is("people", "Ready").await;
    let letters = mailpit.wait_for(2, SOON).await.unwrap();
    let of = |to: &str| letters.iter().find(|letter| letter.to.iter().any(|it| it == to)).unwrap();
    for to in ["first@example.com", "second@example.com"] {
        let letter = of(to);
        assert!(letter.subject.contains("nightly") && letter.from == "pai@example.com", "{letter:?}");
        assert!(letter.text.contains("nightly") && letter.html.contains("nightly"), "{letter:?}");
    }
    let thread = |to: &str| of(to).header("References").map(str::to_owned);
    assert!(thread("first@example.com").is_some());
    assert_eq!(thread("first@example.com"), thread("second@example.com"), "one subject is one thread");
    let notice = &scene.all_settled(1).await[0];
    let status = notice.status.as_ref().unwrap();
    assert_eq!((status.phase, status.delivered.as_str()), (Phase::Delivered, "5/5"));
    for (method, code) in
        [(ContactMethod::VoiceCall, "OK"), (ContactMethod::TextMessage, "OK"), (ContactMethod::Email, "250")]
    {
        let delivery = status.deliveries.iter().find(|d| d.method == Some(method)).unwrap();
        assert_eq!((delivery.contact.as_deref(), delivery.code.as_deref()), (Some("first"), Some(code)), "{method}");
    }
    let calls: Vec<String> = gateway.messages().iter().map(|message| message.title.clone()).collect();
    assert!(calls.len() == 2 && calls.contains(&"SingleCallByTts".to_owned()), "{calls:?}");
    scene.ask_for_test("people", "1").await;
    assert_eq!(scene.test_answer("people", "1").await.result, TestResult::NotSupported);

    // The called number takes one call a minute: what is more waits, and the others' ways stay free.
    scene.job("again", json!({"outcome": "fail"}), json!({})).await;
    scene
        .delivery("again", "people", |d| d.method == Some(ContactMethod::Email) && d.state == DeliveryState::Delivered)
        .await;
    scene
        .delivery("again", "people", |d| {
            d.method == Some(ContactMethod::TextMessage) && d.state == DeliveryState::Delivered
        })
        .await;
    tokio::time::sleep(QUIET).await;
    let calls = gateway.messages().iter().filter(|message| message.title == "SingleCallByTts").count();
    assert_eq!(calls, 1);
    assert!(gateway.posts().iter().all(|post| post.verdict == crate::robot::Verdict::Shown), "{:?}", gateway.posts());
}

#[tokio::test]
async fn an_endpoint_is_reached_over_tls_with_its_own_ca_and_a_client_certificate() {
    let scene = Scene::new("mutual").await;
    scene.workspace(json!({})).await;
    let authority = Authority::new();
    let door = Tls::new(authority.server()).demanding_clients_of(&authority);
    let receiver = Receiver::start_tls(&door).await.unwrap();
    let endpoint = receiver.endpoint(Endpoint::binary_cloud_events("mutual-audit"));
    let client = authority.client("pai-notification");
    scene.secret("ca", json!({"ca.crt": authority.pem()})).await;
    scene.secret("client", json!({"tls.crt": client.certificate, "tls.key": client.key})).await;
    let spec =
        |tls: Value| json!({"http": {"webhook": {"url": endpoint.url()}, "body": "CloudEventBinary", "tls": tls}});
    scene.target("audit", spec(json!({}))).await;
    let _operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["audit"]).await;
    scene.rule_ready("ends").await;
    scene.job("a", json!({}), json!({})).await;
    let refused = scene.delivery("a", "audit", |d| d.attempts > 0).await;
    assert_eq!((refused.state, refused.code.as_deref()), (DeliveryState::Pending, Some("TlsError")), "{refused:?}");
    scene.target("audit", spec(json!({"caRef": {"name": "nothing"}}))).await;
    scene.target_is("audit", "SecretNotFound").await;
    let tls = json!({"caRef": {"name": "ca"}, "clientCertificateRef": {"name": "client"}});
    scene.target("audit", spec(tls)).await;
    let delivered = scene.delivery("a", "audit", |d| d.state == DeliveryState::Delivered).await;
    assert!(delivered.attempts > 1);
    assert_eq!(endpoint.messages().len(), 1);
}

#[tokio::test]
async fn a_receiver_that_is_gone_gets_nothing_more_until_its_target_is_edited() {
    let (scene, _, audit) = Scene::in_force("retired").await;
    let operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["audit"]).await;
    scene.rule_ready("ends").await;
    audit.behave(Behaviour::status(410));
    scene.job("a", json!({}), json!({})).await;
    let failed = scene.delivery("a", "audit", |d| d.state == DeliveryState::Failed).await;
    assert_eq!((failed.code.as_deref(), failed.attempts), (Some("410"), 1));
    let why = scene.target_is("audit", "Gone").await;
    assert!(why.contains("edited"), "{why}");
    audit.behave(Behaviour::Ok);
    scene.job("b", json!({}), json!({})).await;
    scene.delivery("b", "audit", |d| d.message.as_deref().is_some_and(|m| m.contains("gone for good"))).await;
    operator.kill().await.unwrap();
    let _operator = scene.operator().await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(audit.posts().len(), 1, "it is remembered over a restart");
    scene.patch::<EventTarget>("audit", json!({"spec": {"delivery": {"timeout": "9s"}}})).await;
    scene.target_is("audit", "Ready").await;
    audit.wait_for_exactly(2, SOON, QUIET).await.unwrap();
    scene.all_settled(2).await;
}

#[tokio::test]
async fn one_hanging_and_one_slow_target_do_not_delay_fifty_healthy_ones() {
    let scene = Scene::new("fifty").await;
    scene.workspace(json!({"quota": {"targetsPerRule": 100}})).await;
    let mut names = Vec::new();
    for number in 0..50 {
        let name = format!("healthy-{number}");
        scene.endpoint_target(&name).await;
        names.push(name);
    }
    let hanging = scene.endpoint_target("hanging").await;
    let slow = scene.endpoint_target("slow").await;
    hanging.behave(Behaviour::Hang);
    slow.behave(Behaviour::Slow(Duration::from_secs(4)));
    let _operator = scene.operator().await;
    scene.rule("healthy", &["JobFinished"], &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    scene.rule_ready("healthy").await;
    for number in 0..4 {
        scene.job(&format!("alone-{number}"), json!({}), json!({})).await;
    }
    scene.all_settled(4).await;
    scene.rule("ill", &["JobFinished"], &["hanging", "slow"]).await;
    scene.rule_ready("ill").await;
    for number in 0..4 {
        scene.job(&format!("beside-{number}"), json!({}), json!({})).await;
    }
    for number in 0..4 {
        scene.delivery(&format!("beside-{number}"), "slow", |d| d.state == DeliveryState::Delivered).await;
    }
    let notices = scene.notices().await;
    let times = |prefix: &str| -> Vec<f64> {
        let of = notices.iter().filter(|notice| notice.spec.event.subject.name.starts_with(prefix));
        let mut times: Vec<f64> = of.flat_map(healthy_times).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let (alone, beside) = (times("alone-"), times("beside-"));
    assert_eq!((alone.len(), beside.len()), (200, 200), "every healthy one has everything");
    let median = |times: &[f64]| times[times.len() / 2];
    println!(
        "delivery to 50 healthy targets: alone p50 {:.1} ms, max {:.1} ms; beside an ill one p50 {:.1} ms, max {:.1} ms",
        median(&alone),
        alone[199],
        median(&beside),
        beside[199]
    );
    let attempted = scene.delivery("beside-0", "hanging", |d| d.attempts > 0).await;
    assert_eq!(attempted.code.as_deref(), Some("Timeout"));
    assert!(beside[199] < 4000.0, "a healthy one waited for an ill one: {} ms", beside[199]);
}

/// Milliseconds from seen to accepted, of each healthy target.
fn healthy_times(notice: &Notice) -> Vec<f64> {
    let seen = notice.spec.event.observed_time;
    let deliveries = notice.status.iter().flat_map(|status| &status.deliveries);
    let healthy = deliveries.filter(|delivery| delivery.target.starts_with("healthy"));
    healthy.filter_map(|delivery| Some(delivery.delivered_time?.duration_since(seen).as_secs_f64() * 1000.0)).collect()
}

#[tokio::test]
async fn a_console_url_puts_a_link_into_messages_and_a_bad_one_costs_nothing_else() {
    let (scene, robot, _) = Scene::in_force("console").await;
    let _operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["oncall"]).await;
    scene.rule_ready("ends").await;
    scene.patch_workspace(json!({"consoleUrl": "https://console.example.com/{{ nope }}"})).await;
    let workspaces = kube::Api::<Workspace>::all(scene.admin.clone());
    let bad = crate::scene::wait(&workspaces, "console", |workspace: &Workspace| {
        let conditions = workspace.status.iter().flat_map(|status| &status.conditions);
        conditions.into_iter().any(|c| c.type_ == "ConsoleUrlValid" && c.status == "False")
    })
    .await;
    let why = message(&bad.status.unwrap().conditions, "ConsoleUrlValid");
    assert!(why.contains("spec.consoleUrl, line 1: there is no variable nope"), "{why}");
    scene.job("a", json!({}), json!({})).await;
    robot.wait_for(1, SOON).await.unwrap();
    scene
        .patch_workspace(json!({"consoleUrl": "https://console.example.com/{{ workspace.name }}/{{ subject.name }}"}))
        .await;
    crate::scene::wait(&workspaces, "console", |workspace: &Workspace| {
        let conditions = workspace.status.iter().flat_map(|status| &status.conditions);
        conditions.into_iter().any(|c| c.type_ == "ConsoleUrlValid" && c.status == "True")
    })
    .await;
    scene.job("b", json!({}), json!({})).await;
    let shown = robot.wait_for(2, SOON).await.unwrap();
    assert!(!shown[0].text.contains("console.example.com"), "{shown:?}");
    assert!(shown[1].text.contains("(https://console.example.com/console/b)"), "{shown:?}");
}

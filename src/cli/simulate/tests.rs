use std::path::Path;

use super::*;

const FIXTURES: &str = "tests/fixtures/simulate";

/// Half an hour after the failure in `team/workload.json`.
fn args(files: &[&str]) -> SimulateArgs {
    SimulateArgs {
        files: files.iter().map(|file| format!("{FIXTURES}/{file}")).collect(),
        now: Some("2026-01-01T03:00:00Z".parse().unwrap()),
        catalog: None,
        reveal: false,
        output: Output::Text,
    }
}

fn error(args: &SimulateArgs) -> String {
    format!("{:#}", simulate(args).unwrap_err())
}

/// The report on documents that a test writes itself, at the time of [`args`].
fn report_on(text: &str) -> report::Report {
    let (mut documents, mut errors) = (Vec::new(), Vec::new());
    read::parse("test.yaml", text, &mut documents, &mut errors);
    assert_eq!(errors, []);
    let input = input::sort(documents, &Catalog::built_in()).unwrap();
    simulation::simulate(input, simulation::Moment::At(args(&[]).now.unwrap()), Secrecy::Hide)
}

#[test]
fn a_failed_job_becomes_a_notice_with_one_request_for_dingtalk_and_one_for_http() {
    insta::assert_snapshot!("team_text", simulate(&args(&["team"])).unwrap());
    insta::assert_snapshot!("team_json", simulate(&SimulateArgs { output: Output::Json, ..args(&["team"]) }).unwrap());
}

#[test]
fn a_failed_job_becomes_exact_requests_for_every_channel_in_every_form() {
    let all = ["channels", "team/workload.json"];
    insta::assert_snapshot!("channels", simulate(&args(&all)).unwrap());
    let secrets = [
        "ding-token-1",
        "SEC0123456789",
        "wecom-key-1",
        "lark-token-1",
        "lark-signing-key-1",
        "hook-token-1",
        "bearer-token-1",
        "header-token-1",
        "basic-user-1",
        "basic-password-1",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "mail-user-1",
        "mail-password-1",
        "access-key-id-1",
        "access-key-secret-1",
        "security-token-1",
    ];
    for output in [Output::Json, Output::Text] {
        let hidden = simulate(&SimulateArgs { output, ..args(&all) }).unwrap();
        for secret in secrets {
            assert!(!hidden.contains(secret), "{secret}");
        }
        // Who is called and written to is what a user wants to check.
        for who in ["13900000000", "zhangsan", "ou_0123456789abcdef", "oncall@example.com"] {
            assert!(hidden.contains(who), "{who}");
        }
        let revealed = simulate(&SimulateArgs { output, reveal: true, ..args(&all) }).unwrap();
        for token in ["ding-token-1", "wecom-key-1", "lark-token-1", "hook-token-1", "access-key-id-1"] {
            assert!(revealed.contains(token) && !revealed.contains("***"), "{token}");
        }
    }
}

#[test]
fn a_contact_without_its_gateway_and_a_workspace_not_in_force_are_problems_in_the_words_of_the_conditions() {
    let policy = |workspace: &str| {
        report_on(&format!(
            "{{apiVersion: notification.pai.dev/v1alpha1, kind: Workspace, metadata: {{name: ml}}, spec: {{{workspace}}}}}\n\
             ---\n{{apiVersion: notification.pai.dev/v1alpha1, kind: EventTarget, metadata: {{name: people, namespace: ml}},\n\
             spec: {{contacts: [{{name: On-call, email: oncall@example.com, methods: [Email]}}]}}}}\n\
             ---\n{{apiVersion: notification.pai.dev/v1alpha1, kind: NoticeRule, metadata: {{name: all, namespace: ml}},\n\
             spec: {{sources: [{{type: DLCJob}}], targets: [{{name: people}}]}}}}\n"
        ))
    };
    let problems = |workspace: &str| -> Vec<String> {
        policy(workspace).problems.iter().map(|problem| format!("{}: {}", problem.object, problem.message)).collect()
    };
    let missing = "EventTarget ml/people: spec.contacts[0]: Email needs spec.messageSettings.email of Workspace \
                   ml; ask its administrator to set it";
    assert_eq!(problems("activate: true, grantAccess: true"), [missing]);
    assert_eq!(
        problems("activate: false, grantAccess: true, consoleUrl: 'https://c.example/{{ nope }}'")
            .iter()
            .map(|problem| problem.split(": there is no variable").next().unwrap_or_default())
            .collect::<Vec<_>>(),
        [
            "Workspace ml: set spec.activate of Workspace ml to true",
            "Workspace ml: messages have no link: spec.consoleUrl, line 1",
            missing,
        ]
    );
}

#[test]
fn the_order_of_the_input_does_not_matter() {
    let forth = simulate(&args(&["team/policy.yaml", "team/workload.json"])).unwrap();
    let back = simulate(&args(&["team/workload.json", "team/policy.yaml"])).unwrap();
    assert_eq!(forth, back);
}

#[test]
fn no_secret_is_printed_unless_secrets_are_revealed() {
    let secrets = ["robot-token-1", "hook-token-1", "bearer-token-1", "SEC0123456789"];
    for output in [Output::Json, Output::Text] {
        let hidden = simulate(&SimulateArgs { output, ..args(&["team"]) }).unwrap();
        assert!(secrets.iter().all(|secret| !hidden.contains(secret)), "{hidden}");
        let revealed = simulate(&SimulateArgs { output, reveal: true, ..args(&["team"]) }).unwrap();
        // The signing key itself is never sent.
        assert!(secrets.iter().take(3).all(|secret| revealed.contains(secret)), "{revealed}");
        assert!(!revealed.contains("***"), "{revealed}");
    }
}

#[test]
fn everything_that_is_wrong_with_a_policy_is_a_problem_and_the_rest_is_simulated() {
    insta::assert_snapshot!("wrong_policy", simulate(&args(&["wrong-policy.yaml", "team/workload.json"])).unwrap());
}

#[test]
fn workloads_alone_show_every_transition_that_they_prove() {
    insta::assert_snapshot!("workloads_alone", simulate(&args(&["team/workload.json"])).unwrap());
}

#[test]
fn a_document_that_does_not_parse_is_named_with_its_line_and_shows_no_secret() {
    let error = error(&args(&["broken.yaml"]));
    insta::assert_snapshot!("broken_yaml", error);
    assert!(!error.contains("hunter2"));
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_file_document_and_field_and_shows_no_secret() {
    let error = error(&args(&["wrong-types.yaml"]));
    insta::assert_snapshot!("wrong_types", error);
    assert!(!error.contains("4711"));
}

#[test]
fn a_file_that_is_not_there_and_a_directory_without_objects_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("README.md"), "no objects").unwrap();
    let name = directory.path().display().to_string();
    let error = error(&SimulateArgs { files: vec!["nowhere.yaml".to_owned(), name.clone()], ..args(&[]) });
    assert!(error.starts_with("nowhere.yaml: cannot be read: No such file"), "{error}");
    assert!(error.ends_with(&format!("{name}: the directory holds no *.yaml, *.yml or *.json")), "{error}");
}

#[test]
fn comments_and_empty_documents_are_no_objects_but_empty_documents_are_counted() {
    let table = [
        ("", vec![]),
        ("# nothing\n", vec![]),
        ("---\n---\n# nothing\n---\n", vec![]),
        ("--- # title\nkind: A\n", vec![1]),
        ("# first\n---\nkind: A\n---\n\n--- {kind: B}\n", vec![1, 3]),
        ("%YAML 1.2\n---\nkind: A\n...\n---\nkind: B\n", vec![1, 2]),
        ("\u{feff}kind: A\r\n---\r\nkind: B\r\n", vec![1, 2]),
        ("{\"kind\": \"A\"}\n{\"kind\": \"B\"}", vec![1, 2]),
        ("{kind: A, text: 'a\n\n  b'}", vec![1]),
        ("kind: A\ntext: |\n  ---\n  a\n", vec![1]),
    ];
    for (text, expected) in table {
        let (mut documents, mut errors) = (Vec::new(), Vec::new());
        read::parse("test.yaml", text, &mut documents, &mut errors);
        assert_eq!(errors, [], "{text:?}");
        let numbers: Vec<usize> = documents.iter().map(|document| document.number).collect();
        assert_eq!(numbers, expected, "{text:?}");
        assert!(documents.iter().all(|document| document.value.get("kind").is_some()), "{documents:?}");
    }
}

#[test]
fn a_large_list_is_read_whole() {
    let items: Vec<String> =
        (0..60_000).map(|n| format!("- {{apiVersion: v1, kind: Pod, metadata: {{name: p{n}}}}}\n")).collect();
    let items = items.concat();
    let report = report_on(&format!("apiVersion: v1\nkind: List\nitems:\n{items}"));
    assert_eq!(report, report::Report::default());
}

#[test]
fn what_was_before_the_workspace_or_the_rule_is_unmatched_and_what_is_too_old_is_a_problem() {
    let policy = std::fs::read_to_string(Path::new(FIXTURES).join("team/policy.yaml")).unwrap();
    let workload = std::fs::read_to_string(Path::new(FIXTURES).join("team/workload.json")).unwrap();
    let dated =
        |time: &str| policy.replace("  name: vision\n", &format!("  name: vision\n  creationTimestamp: \"{time}\"\n"));
    let report = report_on(&format!("{}\n---\n{workload}", dated("2026-01-01T02:31:00Z")));
    assert_eq!((report.notices.len(), report.unmatched.len(), report.problems.len()), (0, 2, 0));
    let report = report_on(&format!("{}\n---\n{workload}", dated("2026-01-01T02:29:00Z")));
    assert_eq!((report.notices.len(), report.unmatched.len(), report.problems.len()), (1, 1, 0));
    let report = report_on(&format!("{policy}\n---\n{}", workload.replace("2026-01-01T02:", "2025-12-31T02:")));
    assert_eq!((report.notices.len(), report.unmatched.len()), (0, 2));
    assert_eq!(report.problems.len(), 2);
    assert!(report.problems[0].message.contains("too old to be notified; see --now"), "{:?}", report.problems);
}

#[test]
fn a_suspended_rule_makes_no_notice_and_a_suspended_target_gets_no_request() {
    let policy = std::fs::read_to_string(Path::new(FIXTURES).join("team/policy.yaml")).unwrap();
    let workload = std::fs::read_to_string(Path::new(FIXTURES).join("team/workload.json")).unwrap();
    let rules = policy.replace("  sources:", "  suspend: true\n  sources:");
    let report = report_on(&format!("{rules}\n---\n{workload}"));
    assert_eq!((report.notices.len(), report.problems.len()), (0, 0));
    let target = policy.replace("  http:", "  suspend: true\n  http:");
    let report = report_on(&format!("{target}\n---\n{workload}"));
    let requests: Vec<_> = report.notices[0].deliveries.iter().map(|d| (d.target.as_str(), d.requests.len())).collect();
    assert_eq!(requests, [("oncall", 1), ("recorder", 0)]);
}

#[test]
fn the_pods_of_a_job_tell_of_its_cause_even_if_no_object_has_a_uid() {
    let text = r#"
{apiVersion: v1, kind: Pod, metadata: {name: train-0, namespace: ml, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: train, controller: true}]},
 status: {phase: Failed, containerStatuses: [{name: main, state: {terminated: {exitCode: 137, reason: OOMKilled, finishedAt: "2026-01-01T02:00:00Z"}}}]}}
---
{apiVersion: batch/v1, kind: JobList, items: [{metadata: {name: train, namespace: ml},
 status: {failed: 1, conditions: [{type: Failed, status: "True", reason: BackoffLimitExceeded, lastTransitionTime: "2026-01-01T02:00:01Z"}]}}]}
"#;
    let report = report_on(text);
    assert_eq!(report.unmatched.len(), 1);
    assert_eq!(report.unmatched[0].subject.uid, "job/ml/train");
    assert_eq!(report.unmatched[0].data["exitCode"], 137, "{:?}", report.unmatched[0].data);
}

#[test]
fn a_namespace_belongs_to_one_workspace_and_an_object_that_is_there_twice_counts_once() {
    let workspace = |name: &str| {
        format!(
            "---\napiVersion: notification.pai.dev/v1alpha1\nkind: Workspace\nmetadata: {{name: {name}}}\nspec: {{namespace: ml, activate: true, grantAccess: true}}\n"
        )
    };
    let report = report_on(&[workspace("a"), workspace("b"), workspace("a")].concat());
    let problems: Vec<_> = report.problems.iter().map(|p| (p.object.as_str(), p.message.as_str())).collect();
    assert_eq!(
        problems,
        [
            ("Workspace a", "is there more than once; the last one counts"),
            (
                "Workspace b",
                "namespace ml belongs to the older Workspace a; choose another namespace, or delete one of the two"
            ),
        ]
    );
}

#[test]
fn one_flag_names_all_the_files_of_a_shells_pattern() {
    #[derive(clap::Parser)]
    struct Only {
        #[command(flatten)]
        args: SimulateArgs,
    }
    let parsed = <Only as clap::Parser>::try_parse_from(["x", "-f", "a.yaml", "b.yaml", "-o", "json", "-f", "-"]);
    assert_eq!(parsed.map(|only| only.args.files).unwrap(), ["a.yaml", "b.yaml", "-"]);
}

#[test]
fn a_reference_to_a_job_that_was_written_by_hand_needs_no_more_than_its_name() {
    let report = report_on(
        r#"
{apiVersion: v1, kind: Namespace, metadata: {name: vision}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: train, namespace: vision}, status: {active: 1, ready: 1}}
---
apiVersion: v1
kind: Pod
metadata: {name: train-0, namespace: vision, ownerReferences: [{kind: Job, name: train}]}
status:
  phase: Failed
  conditions:
    - {type: DisruptionTarget, status: "True", reason: PreemptionByScheduler, lastTransitionTime: "2026-01-01T02:55:00Z"}
"#,
    );
    let transitions: Vec<&str> = report.unmatched.iter().map(|event| event.transition.as_str()).collect();
    assert_eq!(transitions, ["Preempted", "Running"]);
    assert_eq!(report.problems, [], "a Namespace is no problem");
}

#[test]
fn an_error_in_yaml_speaks_to_who_wrote_the_yaml() {
    let (mut documents, mut errors) = (Vec::new(), Vec::new());
    read::parse("x.yaml", "a: b\n---\na: b\na: c\n", &mut documents, &mut errors);
    let [error] = &errors[..] else { panic!("{errors:?}") };
    let error = error.to_string();
    assert!(error.starts_with("x.yaml, document 2: ") && error.contains("line 4"), "{error}");
    assert!(!error.contains("Options"), "{error}");
}

#[test]
fn old_files_are_simulated_as_they_are_unless_a_time_is_asked_for() {
    let without = simulate(&SimulateArgs { now: None, ..args(&["team"]) }).unwrap();
    assert!(without.contains("Notice vision/nightly-42-jobfailed-") && !without.contains("too old"), "{without}");
    let later = Some("2026-06-01T00:00:00Z".parse().unwrap());
    let asked = simulate(&SimulateArgs { now: later, ..args(&["team"]) }).unwrap();
    assert!(asked.contains("too old") && !asked.contains("Notice vision/nightly-42-jobfailed-"), "{asked}");
}

/// Kind and name of the subject, and transition, of every event that a report shows.
fn events(report: &report::Report) -> Vec<String> {
    let shown = |event: &crate::lifecycle::Event| {
        format!("{} {} {}", event.subject.kind, event.subject.name, event.transition.as_str())
    };
    report.unmatched.iter().map(shown).collect()
}

#[test]
fn an_object_of_a_kind_of_the_catalog_shows_its_transitions_with_times_and_reasons() {
    let report = report_on(
        r#"
apiVersion: kubeflow.org/v1
kind: PyTorchJob
metadata: {name: train, namespace: vision, creationTimestamp: "2026-01-01T01:00:00Z"}
status:
  startTime: "2026-01-01T01:00:05Z"
  completionTime: "2026-01-01T02:30:00Z"
  conditions:
  - {type: Failed, status: "True", reason: PyTorchJobFailed, message: it was active longer than specified, lastTransitionTime: "2026-01-01T02:30:01Z"}
---
apiVersion: agents.kruise.io/v1alpha1
kind: Commit
metadata: {name: save, namespace: vision, creationTimestamp: "2026-01-01T01:00:00Z"}
spec: {podName: book-0}
status: {phase: Running, startTime: "2026-01-01T01:00:10Z"}
"#,
    );
    assert_eq!(report.problems, []);
    assert_eq!(events(&report), ["Commit save ImageSaving", "PyTorchJob train Failed"]);
    let failed = &report.unmatched[1];
    assert_eq!(
        (failed.time.to_string().as_str(), failed.reason.as_str()),
        ("2026-01-01T02:30:00Z", "PyTorchJobFailed")
    );
    assert!(failed.events.iter().any(|event| event.as_str() == "JobTimeout"), "{:?}", failed.events);
}

#[test]
fn only_the_topmost_owner_among_the_given_objects_is_told_about_in_whatever_order_they_are_given() {
    let owner = |kind: &str| format!("ownerReferences: [{{kind: {kind}, name: train, controller: true}}]");
    let train = "{apiVersion: trainer.kubeflow.org/v1alpha1, kind: TrainJob, metadata: {name: train}, status: {jobsStatus: [{name: node, ready: 1}]}}".to_owned();
    let set = format!(
        "{{apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, metadata: {{name: train, {}}}, status: {{restarts: 1}}}}",
        owner("TrainJob")
    );
    let job = format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: train-node, {}}}, status: {{ready: 1, active: 1}}}}",
        owner("JobSet")
    );
    for order in [[&train, &set, &job], [&job, &set, &train], [&set, &train, &job]] {
        let report = report_on(&order.map(|object| format!("---\n{object}\n")).concat());
        let mut told = events(&report);
        told.sort();
        assert_eq!(told, ["TrainJob train FaultTolerance", "TrainJob train Running"], "{:?}", report.problems);
    }
    let told = events(&report_on(&format!("---\n{set}\n---\n{job}\n")));
    assert_eq!(told, ["JobSet train FaultTolerance"], "the TrainJob is not among them");
}

#[test]
fn a_kind_or_version_that_is_not_known_is_named_and_a_directory_adds_kinds() {
    let report = report_on(
        "{apiVersion: ray.io/v9, kind: RayJob, metadata: {name: a}}\n---\n{apiVersion: x.io/v1, kind: Run, metadata: {name: a}}",
    );
    let messages: Vec<&str> = report.problems.iter().map(|problem| problem.message.as_str()).collect();
    assert!(messages[0].contains("RayJob of ray.io/v9 is unknown here") && messages[0].contains("v1, v1alpha1"));
    assert!(messages[1].contains("Run of x.io/v1 is unknown here"), "{messages:?}");

    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    let head = "group: x.io\nversions: [v1]\nkind: Run\nplural: runs\ndocs: https://x.io\nsource: DLCJob\ntransitions:\n- transition: Running\n";
    file("bad.yaml", &format!("{head}  when: (\n"));
    file("run.yaml", &format!("{head}  when: status.phase == 'Running'\n"));
    file(
        "object.json",
        "{\"apiVersion\": \"x.io/v1\", \"kind\": \"Run\", \"metadata\": {\"name\": \"mine\"}, \"status\": {\"phase\": \"Running\"}}",
    );
    let args = SimulateArgs {
        files: vec![directory.path().join("object.json").display().to_string()],
        catalog: Some(directory.path().to_owned()),
        ..args(&[])
    };
    let shown = simulate(&args).unwrap();
    assert!(shown.contains("bad.yaml:9: ") && shown.contains("Running"), "{shown}");
}

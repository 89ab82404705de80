//! Decoders of foreign input against input that nobody would write: real examples with random damage, on the stable toolchain.
//!
//! A second by default; `make fuzz` runs for a minute. A failure prints the input that led to it, as small as it can be made.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "fuzz/catalog.rs"]
mod catalog;
#[path = "fuzz/events.rs"]
mod events;
#[path = "fuzz/objects.rs"]
mod objects;

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// How long each decoder is tried.
fn time() -> Duration {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1))
}

/// Tries until the time is over; says how often.
fn fuzz<S: Strategy>(name: &str, input: &S, check: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    const CASES: u32 = 32;
    let (end, mut tried) = (Instant::now() + time(), 0_u64);
    while Instant::now() < end {
        let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
        if let Err(error) = TestRunner::new(config).run(input, &check) {
            panic!("{name}: {error}");
        }
        tried += u64::from(CASES);
    }
    println!("{name}: {tried} inputs");
    assert!(tried > 0);
}

/// The files of the catalog that come with the program: name and text.
fn built_in_files() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/detect/catalog");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let yaml = paths.filter(|path| path.extension().is_some_and(|end| end == "yaml"));
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut files: Vec<_> = yaml.map(|path| (name(&path), std::fs::read_to_string(&path).unwrap())).collect();
    files.sort();
    files
}

/// Damage to a text.
#[derive(Clone, Debug)]
enum Damage {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize, usize),
}

/// Damage that puts in one of these, among others.
fn damage(tokens: &'static [&'static [u8]]) -> impl Strategy<Value = Damage> {
    let token = prop::sample::select(tokens).prop_map(<[u8]>::to_vec);
    let index = any::<prop::sample::Index>;
    prop_oneof![
        (index(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (index(), token).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (index(), 1..40_usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        (index(), 1..40_usize, 1..300_usize).prop_map(|(at, length, times)| Damage::Repeat(at, length, times)),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        if bytes.is_empty() {
            return bytes;
        }
        let length = bytes.len();
        match damage {
            Damage::Set(at, byte) => bytes[at.index(length)] = *byte,
            Damage::Insert(at, token) => {
                let at = at.index(length);
                bytes.splice(at..at, token.iter().copied());
            }
            Damage::Remove(at, count) => {
                let at = at.index(length);
                bytes.drain(at..(at + count).min(length));
            }
            Damage::Repeat(at, size, times) => {
                let at = at.index(length);
                let part = bytes[at..(at + size).min(length)].repeat(*times);
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

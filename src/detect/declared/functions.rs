//! The functions that a catalog file may call beside those of CEL.
//!
//! They take whatever comes: what is missing, or of another type, counts as nothing. [`TABLE`] lists them all; the
//! questions about the object as a whole (`is`, `since`, ...) are in [`super::question`].

#![expect(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "cel calls every function in one form: it takes a list, and may fail"
)]

use std::cmp::Ordering;
use std::sync::{Arc, LazyLock};

use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelNull, CelString, DYN_TYPE, Kind, NULL_TYPE, STRING_TYPE, Type,
};
use cel::common::value::{CowVal, Val};
use cel::{Env, ExecutionError};
use jiff::Timestamp;

use super::value;

type Answer<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;
type Function = for<'b, 'v> fn(Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v>;

/// How many arguments a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arity {
    pub(super) least: usize,
    pub(super) most: usize,
}

/// One function, with the words that the documentation has for it.
pub(super) struct Described {
    pub(super) name: &'static str,
    pub(super) arity: Arity,
    pub(super) usage: &'static str,
    pub(super) meaning: &'static str,
    function: Function,
}

const fn described(
    name: &'static str,
    (least, most): (usize, usize),
    usage: &'static str,
    meaning: &'static str,
    function: Function,
) -> Described {
    Described { name, arity: Arity { least, most }, usage, meaning, function }
}

/// Every function of our own that takes values.
#[rustfmt::skip]
pub(super) const TABLE: [Described; 11] = [
    described("first", (1, 6), "first(a, b, ...)", "the first that is neither null nor empty; null if none is", first),
    described("text", (1, 6), "text(a, b, ...)",
        "all of them as one text; what is no text, number or truth value adds nothing", text),
    described("number", (1, 1), "number(a)", "a as a whole number; 0 if it is none", number),
    described("earliest", (1, 6), "earliest(a, b, ...)",
        "the earliest of these times (or lists of times), in RFC 3339; null if there is none", earliest),
    described("latest", (1, 6), "latest(a, b, ...)", "the latest of them", latest),
    described("after", (3, 3), "after(a, b, n)", "whether the time a is more than n seconds after the time b", after),
    described("values", (1, 1), "values(a)",
        "the values of a map, or the elements of a list; an empty list for anything else", values),
    described("sum", (2, 2), "sum(a, 'field')", "the sum of a whole-number field over the values of a map or list",
        sum),
    described("find", (3, 3), "find(a, 'field', b)",
        "the first value of a map or list whose field equals b; null if there is none", find),
    described("get", (2, 2), "get(a, 'field')",
        "a field of a map, or an element of a list; null if there is none. `a.field` means the same", get),
    described("oneOf", (2, 6), "oneOf(a, 'x', ...)", "whether a equals one of the others", one_of),
];

/// What can be asked about the object as a whole, with its meaning.
pub(super) const QUESTIONS: [(&str, &str); 10] = [
    ("is('Type')", "whether the condition of this type is `True`"),
    ("isNot('Type')", "whether it is `False`"),
    ("since('Type')", "its `lastTransitionTime`, whatever its status; null if there is none"),
    ("reason('Type')", "its reason; empty if there is none"),
    ("message('Type')", "its message; empty if there is none"),
    (
        "podsReady()",
        "when the first of its Pods was ready; null if none was. `podsReady(status.startTime)` and `podsReady('Type')` leave \
         out those before that time",
    ),
    ("podsUnschedulable", "whether the scheduler finds no node for one of its Pods"),
    ("queuedByKueue", "whether Kueue decides when it may run"),
    ("asksForSpot", "whether a Pod template in its spec can run only on nodes that can be taken away"),
    ("item`, `key", "in `forEach`: the thing that is looked at, and its key or position"),
];

/// The comparisons, which are false if there is nothing to compare. CEL's own would be an error.
const COMPARISONS: [(&str, Function); 4] =
    [(LESS, less), (LESS_EQUALS, less_equals), (GREATER, greater), (GREATER_EQUALS, greater_equals)];
pub(super) const LESS: &str = "@less";
pub(super) const LESS_EQUALS: &str = "@lessEquals";
pub(super) const GREATER: &str = "@greater";
pub(super) const GREATER_EQUALS: &str = "@greaterEquals";

/// Tests of a text, which are false for null.
const TESTS: [&str; 4] = ["contains", "endsWith", "matches", "startsWith"];

/// CEL's standard functions and ours.
pub(super) static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(environment()));

fn environment() -> Env {
    let mut env = Env::stdlib().with_optional_support(false);
    let mut refused = Vec::new();
    for Described { name, arity, function, .. } in TABLE {
        for count in arity.least..=arity.most {
            let id = format!("{name}_{count}");
            refused.extend(env.add_overload(name, &id, any(count), function).err());
        }
    }
    for (name, function) in COMPARISONS {
        refused.extend(env.add_overload(name, name, any(2), function).err());
    }
    for name in TESTS {
        let id = format!("{name}_null");
        refused.extend(env.add_member_overload(name, &id, NULL_TYPE, vec![STRING_TYPE], no).err());
    }
    debug_assert!(refused.is_empty(), "{refused:?}");
    env
}

/// Arguments of any type.
fn any(count: usize) -> Vec<Type> {
    std::iter::repeat_with(|| DYN_TYPE).take(count).collect()
}

fn no<'b, 'v>(_: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    Ok(value::bool(false))
}

fn first<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let is_something = |it: &CowVal<'b, 'v>| {
        it.downcast_ref::<CelNull>().is_none() && it.downcast_ref::<CelString>().is_none_or(|it| !it.is_empty())
    };
    Ok(arguments.into_iter().find(is_something).unwrap_or_else(value::null))
}

fn text<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let all: String = arguments.iter().map(|it| as_text(&**it)).collect();
    Ok(CowVal::owned(CelString::from(all)))
}

/// A text, number or truth value, written out; empty for all else.
pub(super) fn as_text(it: &(dyn Val + '_)) -> String {
    if let Some(it) = it.downcast_ref::<CelString>() {
        return it.inner().to_owned();
    }
    if let Some(it) = it.downcast_ref::<CelInt>() {
        return it.inner().to_string();
    }
    if let Some(it) = it.downcast_ref::<CelBool>() {
        return it.inner().to_string();
    }
    it.downcast_ref::<CelDouble>().map(|it| it.inner().to_string()).unwrap_or_default()
}

fn number<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let number = arguments.first().and_then(|it| it.downcast_ref::<CelInt>()).map_or(0, |it| *it.inner());
    Ok(CowVal::owned(CelInt::from(number)))
}

fn earliest<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    Ok(as_answer(times(&arguments).into_iter().min()))
}

fn latest<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    Ok(as_answer(times(&arguments).into_iter().max()))
}

fn after<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let [late, early, seconds] = arguments.as_slice() else { return Err(arity()) };
    let times = as_time(&**late).zip(as_time(&**early));
    let seconds = seconds.downcast_ref::<CelInt>().map_or(0, |it| *it.inner());
    Ok(value::bool(times.is_some_and(|(late, early)| late.as_second() - early.as_second() > seconds)))
}

fn as_answer<'b, 'v>(time: Option<Timestamp>) -> CowVal<'b, 'v> {
    time.map_or_else(value::null, |time| CowVal::owned(CelString::from(time.to_string())))
}

fn times(arguments: &[CowVal<'_, '_>]) -> Vec<Timestamp> {
    let of = |it: &CowVal<'_, '_>| match it.downcast_ref::<CelList>() {
        Some(list) => list.inner().iter().filter_map(|it| as_time(&**it)).collect(),
        None => as_time(&**it).into_iter().collect::<Vec<_>>(),
    };
    arguments.iter().flat_map(of).collect()
}

/// A time: a text in RFC 3339, or a number of milliseconds since 1970 that is not zero.
pub(super) fn as_time(it: &(dyn Val + '_)) -> Option<Timestamp> {
    if let Some(text) = it.downcast_ref::<CelString>() {
        return text.inner().parse().ok();
    }
    let milliseconds = *it.downcast_ref::<CelInt>()?.inner();
    (milliseconds > 0).then(|| Timestamp::from_millisecond(milliseconds).ok()).flatten()
}

fn values<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let all = arguments.first().map(|it| elements(it)).unwrap_or_default();
    Ok(CowVal::owned(CelList::from(all)))
}

fn elements<'v>(it: &CowVal<'_, 'v>) -> Vec<Box<dyn Val + 'v>> {
    if let Some(list) = it.downcast_ref::<CelList>() {
        return list.inner().to_vec();
    }
    let (Kind::Map, Some(keys), Some(map)) = (it.get_type().kind(), it.as_iterable(), it.as_indexer()) else {
        return Vec::new();
    };
    let (mut all, mut keys) = (Vec::new(), keys.iter());
    while let Some(key) = keys.next() {
        all.extend(map.get(key).ok().map(CowVal::into_owned));
    }
    all
}

fn sum<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let [all, field] = two(&arguments)?;
    let number = |it: Box<dyn Val + 'v>| Some(*element(&*it, &**field)?.downcast_ref::<CelInt>()?.inner());
    let sum = elements(all).into_iter().filter_map(number).fold(0, i64::saturating_add);
    Ok(CowVal::owned(CelInt::from(sum)))
}

fn find<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let [all, field, wanted] = arguments.as_slice() else { return Err(arity()) };
    let fits = |it: &(dyn Val + 'v)| element(it, &**field).is_some_and(|it| it.equals(&**wanted));
    Ok(elements(all).into_iter().find(|it| fits(&**it)).map_or_else(value::null, CowVal::Owned))
}

fn get<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let [of, field] = two(&arguments)?;
    Ok(element(&**of, &**field).map_or_else(value::null, CowVal::Owned))
}

/// What is at a key or position; `None` if there is nothing, or nothing can be there.
fn element<'v>(of: &(dyn Val + 'v), key: &(dyn Val + '_)) -> Option<Box<dyn Val + 'v>> {
    of.as_indexer()?.get(key).ok().map(CowVal::into_owned)
}

fn one_of<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let mut arguments = arguments.into_iter();
    let it = arguments.next();
    Ok(value::bool(it.is_some_and(|it| arguments.any(|other| it.equals(&*other)))))
}

fn less<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    compare(&arguments, Ordering::is_lt)
}

fn less_equals<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    compare(&arguments, Ordering::is_le)
}

fn greater<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    compare(&arguments, Ordering::is_gt)
}

fn greater_equals<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    compare(&arguments, Ordering::is_ge)
}

fn compare<'b, 'v>(arguments: &[CowVal<'b, 'v>], holds: fn(Ordering) -> bool) -> Answer<'b, 'v> {
    let [left, right] = two(arguments)?;
    let order = left.as_comparer().and_then(|left| left.compare(&**right).ok());
    Ok(value::bool(order.is_some_and(holds)))
}

fn two<'a, 'b, 'v>(arguments: &'a [CowVal<'b, 'v>]) -> Result<&'a [CowVal<'b, 'v>; 2], ExecutionError> {
    arguments.try_into().map_err(|_| arity())
}

fn arity() -> ExecutionError {
    ExecutionError::function_error("call", "wrong number of arguments")
}

//! Quota: which of a rule's targets fit. Pure.

/// A target of a rule, in the rule's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its units; `None` if there is no such target.
    pub units: Option<i32>,
}

/// Whether a target fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It does.
    Within,
    /// The targets before it leave no room for it.
    Over,
    /// There is no such target; it takes no room.
    Missing,
}

/// Which targets fit into `limit` units, and how many are used. A target that does not fit leaves its room to the next.
#[must_use]
pub fn assign(claims: &[Claim<'_>], limit: i32) -> (Vec<Fit>, i32) {
    let mut used = 0_i32;
    let fits = claims
        .iter()
        .map(|claim| {
            let Some(units) = claim.units else { return Fit::Missing };
            match used.checked_add(units).filter(|with| *with <= limit) {
                Some(with) => {
                    used = with;
                    Fit::Within
                }
                None => Fit::Over,
            }
        })
        .collect();
    (fits, used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_take_room_in_order_and_missing_ones_take_none() {
        use Fit::{Missing, Over, Within};
        struct Case<'a>(&'a [Option<i32>], i32, &'a [Fit], i32);
        let table = [
            Case(&[], 5, &[], 0),
            Case(&[Some(1), Some(1)], 5, &[Within, Within], 2),
            Case(&[Some(1), Some(1), Some(1)], 2, &[Within, Within, Over], 2),
            Case(&[Some(4), Some(3), Some(1)], 5, &[Within, Over, Within], 5),
            Case(&[Some(6), Some(5)], 5, &[Over, Within], 5),
            Case(&[None, Some(1)], 1, &[Missing, Within], 1),
            Case(&[Some(i32::MAX), Some(1)], 5, &[Over, Within], 1),
            Case(&[Some(1), Some(i32::MAX)], i32::MAX, &[Within, Over], 1),
        ];
        for Case(units, limit, fits, used) in table {
            let claims: Vec<_> = units.iter().map(|&units| Claim { name: "t", units }).collect();
            assert_eq!(assign(&claims, limit), (fits.to_vec(), used), "{units:?} in {limit}");
        }
    }
}

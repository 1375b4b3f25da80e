//! The few faults that matter: delta debugging (ddmin, Zeller and Hildebrandt 2002) over the list.

use crate::check::{self, Law};
use crate::fault::Fault;
use crate::run;

/// A list from which no single fault can be left out, in which the life of a seed still breaks a law.
#[must_use]
pub fn shrink(seed: u64, faults: &[Fault], law: Law) -> Vec<Fault> {
    ddmin(faults, |faults| {
        check::all(&run::run(seed, faults)).is_err_and(|broken| broken.law == law)
    })
}

fn ddmin<T: Clone>(items: &[T], mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    if fails(&[]) {
        return Vec::new();
    }
    let mut items = items.to_vec();
    let mut parts = 2;
    while items.len() > 1 {
        let size = items.len().div_ceil(parts);
        let without = |part: usize| {
            let (from, to) = (part * size, ((part + 1) * size).min(items.len()));
            [&items[..from.min(to)], &items[to..]].concat()
        };
        let less = (0..parts).map(without).find(|less| less.len() < items.len() && fails(less));
        match less {
            Some(less) => {
                items = less;
                parts = (parts - 1).max(2);
            }
            None if parts >= items.len() => break,
            None => parts = (parts * 2).min(items.len()),
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_needed_and_enough() {
        let items: Vec<u32> = (0..100).collect();
        let needs = [3, 47, 48, 99];
        let fails = |some: &[u32]| needs.iter().all(|need| some.contains(need));
        assert_eq!(ddmin(&items, fails), needs);
        assert_eq!(ddmin(&items, |_| true), Vec::<u32>::new());
        assert_eq!(ddmin(&[7], |some| some.len() == 1), [7]);
    }
}

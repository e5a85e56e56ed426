// SPDX-License-Identifier: MIT
//! What threads and panics may do with the public types. It is checked when this is compiled.

use std::panic::{RefUnwindSafe, UnwindSafe};

use machnet::*;

const fn moves<T: Send + Unpin + UnwindSafe + RefUnwindSafe>() {}
const fn is_shared<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}

/// A type that has the trait makes `Is<_>` ambiguous.
macro_rules! is_not {
    ($type:ty, $trait:ident) => {
        const _: fn() = || {
            trait Is<Proof> {
                fn it() {}
            }
            struct It;
            impl<T> Is<()> for T {}
            impl<T: $trait> Is<It> for T {}
            <$type as Is<_>>::it();
        };
    };
}

macro_rules! all {
    ($check:ident: $($name:ident $(<$life:lifetime>)?),*) => {
        $(const _: () = $check::<$name $(<$life>)?>();)*
        pub const ALL: &[&str] = &[$(stringify!($name)),*];
    };
}

mod of_all_threads {
    use super::*;
    all! {
        is_shared: AbiVersion, Address, Batch, CommitError, Context, Descriptor, Error, ErrorKind, Event, FlowInfo, FlowState, FlowToken,
        Handle, Listener, ListenerToken, Message, MessageInfo, MessageRef<'static>, Messages<'static>, Options, Poll, Reservation, Stats, Wait
    }
}

mod of_one_thread_at_a_time {
    use super::*;
    all! { moves: Channel, Receiver, Sender }
    is_not!(Channel, Sync);
    is_not!(Receiver, Sync);
    is_not!(Sender, Sync);
}

/// It borrows its channel.
mod of_one_thread {
    use super::*;
    const fn stays<T: Unpin + UnwindSafe + RefUnwindSafe>() {}
    all! { stays: Flow<'static> }
    is_not!(Flow<'static>, Send);
    is_not!(Flow<'static>, Sync);
}

#[test]
fn no_public_type_is_forgotten() {
    let uses = include_str!("../src/lib.rs").lines().filter(|line| line.starts_with("pub use"));
    let names = uses.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
    let is_type = |name: &&str| name.starts_with(char::is_uppercase) && *name != "Result";
    let mut public: Vec<&str> = names.filter(is_type).collect();
    let mut checked = [of_all_threads::ALL, of_one_thread_at_a_time::ALL, of_one_thread::ALL].concat();
    public.sort_unstable();
    checked.sort_unstable();
    assert_eq!(checked, public);
}

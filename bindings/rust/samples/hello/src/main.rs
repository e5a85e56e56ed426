// SPDX-License-Identifier: MIT
//! `hello listen 127.0.0.3:7000` answers one message, `hello 127.0.0.3:7000` asks, each by the engine of its `MACHNET_SOCKET`.

use std::process::exit;

use machnet::{Address, Channel, Context, Event, Flow, FlowToken, Result};

/// Waits for an event that `wanted` accepts, and returns the flow that it gives.
fn expect(channel: &Channel, wanted: impl Fn(&Event) -> Option<FlowToken>) -> Result<FlowToken> {
    loop {
        if let Some(flow) = wanted(&channel.event()?) {
            return Ok(flow);
        }
    }
}

/// Waits for a message on the flow and prints it. If the flow ends instead, the error says why.
fn receive(flow: Flow) -> Result<()> {
    let message = flow.receive()?;
    println!("received: {}", String::from_utf8_lossy(&message));
    Ok(())
}

fn run(listens: bool, address: Address) -> Result<()> {
    let channel = Channel::open(&Context::open()?)?;
    if listens {
        channel.listen(address)?;
        let accepted = expect(&channel, |event| match *event {
            Event::Accepted { flow, .. } => Some(flow),
            _ => None,
        })?;
        receive(channel.flow(accepted))?;
        channel.send(accepted, b"hello, too", 0)?;
    } else {
        let flow = channel.connect(address)?;
        flow.send(b"hello, world", 0)?;
        receive(flow)?;
        flow.close()?;
    }
    // The other side has everything, or is gone.
    expect(&channel, |event| match *event {
        Event::Closed { flow, .. } => Some(flow),
        _ => None,
    })?;
    Ok(())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let address = arguments.last().and_then(|text| text.parse().ok());
    let (listens, address) = match (arguments.len(), address) {
        (1, Some(address)) => (false, address),
        (2, Some(address)) if arguments[0] == "listen" => (true, address),
        _ => {
            eprintln!("usage: hello [listen] ADDRESS:PORT");
            exit(2);
        }
    };
    if let Err(error) = run(listens, address) {
        eprintln!("hello: {error}");
        exit(1);
    }
}

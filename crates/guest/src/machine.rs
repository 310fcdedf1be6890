//! The machine the guest runs in, as far as it makes a difference to the guest program.
//!
//! The boot reads it from the configuration; the agent, which outlives that, is told by the words it
//! is started with: `@ignite-agent vsock reset`.

use ignite_wire::guest::{Config, PowerOff, Transport};

const VSOCK: &str = "vsock";
const RESET: &str = "reset";

/// How the host is reached, and how the machine is switched off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Machine {
    /// What carries the agent's stream.
    pub agent: Transport,
    /// What ends the machine.
    pub power_off: PowerOff,
}

impl Machine {
    /// As the configuration has it.
    pub fn of(config: &Config) -> Self {
        Self {
            agent: config.agent,
            power_off: config.power_off,
        }
    }

    /// Of the agent's arguments.
    pub fn from_words(words: impl Iterator<Item = String>) -> Self {
        let mut machine = Self::default();
        for word in words {
            match word.as_str() {
                VSOCK => machine.agent = Transport::Vsock,
                RESET => machine.power_off = PowerOff::Reset,
                _ => {}
            }
        }
        machine
    }

    /// The agent's arguments.
    pub fn words(self) -> Vec<&'static str> {
        let agent = (self.agent == Transport::Vsock).then_some(VSOCK);
        let power_off = (self.power_off == PowerOff::Reset).then_some(RESET);
        agent.into_iter().chain(power_off).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_is_told_the_same() {
        for agent in [Transport::Serial, Transport::Vsock] {
            for power_off in [PowerOff::Acpi, PowerOff::Reset] {
                let machine = Machine { agent, power_off };
                let words = machine.words().into_iter().map(str::to_owned);
                assert_eq!(Machine::from_words(words), machine);
            }
        }
    }
}

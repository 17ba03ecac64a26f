//! Channel tickets: what rendezvous grants to a node whose user ticket it has checked.

use ticket::{ChannelTicket, Identity, Issuer, PeerId, UserTicket};

/// Issues channel tickets, signed with the identity of this rendezvous.
pub struct Granter {
    id: PeerId,
    issuer: Issuer,
}

impl Granter {
    /// One that signs with `identity`; the key's name is the peer id as text.
    pub fn new(identity: &Identity) -> Self {
        Self { id: identity.id(), issuer: Issuer::new(identity.id().to_string(), identity) }
    }

    /// A ticket for 30 min from `now` (seconds since 1970) that grants what the user ticket does,
    /// and the second at which it expires.
    pub fn grant(&self, user: &UserTicket, now: u64) -> (String, u64) {
        let exp = now + ChannelTicket::LIFETIME;
        let ticket = ChannelTicket {
            iss: self.id,
            aud: user.aud.clone(),
            jti: user.jti.clone(),
            iat: now,
            exp,
            cnf: user.cnf.clone(),
            role: user.role,
            channels: user.channels.clone(),
            loc: user.loc,
        };
        (self.issuer.channel(&ticket), exp)
    }
}

#[cfg(test)]
mod tests {
    use ticket::{Confirmation, Error, KeyPurpose, KeySet, Location, PublishedKey, Role};

    use super::*;

    #[test]
    fn a_grant_follows_from_the_user_ticket_and_lives_for_half_an_hour() {
        let identity = Identity::generate();
        let device = Identity::generate().id();
        let user = UserTicket {
            iss: "http://auth".into(),
            aud: "tv".into(),
            sub: "anna".into(),
            jti: "session-1".into(),
            iat: 1000,
            exp: 1600,
            cnf: Confirmation::new(device),
            role: Role::Viewer,
            channels: vec!["one".into()],
            loc: Location { subset: Some(3), ..Location::default() },
        };
        let (token, expires) = Granter::new(&identity).grant(&user, 1200);
        let keys = KeySet::new(vec![PublishedKey {
            kid: identity.id().to_string(),
            key: identity.id(),
            purpose: KeyPurpose::ChannelTicket,
        }]);
        let check = |now| ChannelTicket::check(&token, &keys, "tv", device, now);
        let ticket = check(1200).unwrap();
        assert_eq!((ticket.jti, ticket.loc, ticket.role), (user.jti, user.loc, user.role));
        assert_eq!((ticket.channels, ticket.exp, expires), (user.channels, 3000, 3000));
        assert_eq!(check(3000), Err(Error::Expired));
    }
}

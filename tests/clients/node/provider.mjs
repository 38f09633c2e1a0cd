// npm's oidc-provider as an issuer for tests: plain HTTP on loopback behind a proxy that speaks HTTPS, one client, one
// person. Reads orders from its standard input, one a line, and ends with it:
//   rotate    a new key signs from now on; older ones stay published
//   withdraw  only the key that signs is published
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'

import Provider from 'oidc-provider'

const { ISSUER, CALLBACK, CLIENT_ID, CLIENT_SECRET, RESOURCE } = process.env
const life = Number(process.env.TOKEN_LIFE)

function newKey() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'ES256', use: 'sig' }
}

function newProvider(keys) {
  const provider = new Provider(ISSUER, {
    jwks: { keys }, // the first that fits signs
    cookies: { keys: ['of this test'] },
    clients: [{
      client_id: CLIENT_ID, client_secret: CLIENT_SECRET, redirect_uris: [CALLBACK], response_types: ['code'],
      grant_types: ['authorization_code', 'client_credentials'], id_token_signed_response_alg: 'ES256',
    }],
    scopes: ['openid', 'groups'],
    claims: { openid: ['sub'], groups: ['groups'] },
    conformIdTokenClaims: false, // groups go into the ID token, not to the userinfo endpoint alone
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, groups: ['engineers'] }) }),
    interactions: { url: (_, interaction) => `/login/${interaction.uid}` },
    async loadExistingGrant(ctx) { // everybody consents
      const grant = new provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId })
      grant.addOIDCScope('openid groups')
      await grant.save()
      return grant
    },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope: '', audience: RESOURCE, accessTokenFormat: 'jwt', accessTokenTTL: life, jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
    ttl: { AccessToken: life, AuthorizationCode: 60, ClientCredentials: life, Grant: life, IdToken: life, Interaction: 60, Session: life },
  })
  provider.proxy = true // believe X-Forwarded-Proto
  return provider
}

let keys = [newKey()]
let provider = newProvider(keys)

const server = createServer((request, response) => {
  if (request.url.startsWith('/login/')) { // whoever comes is ada
    provider.interactionFinished(request, response, { login: { accountId: 'ada' } })
      .catch((error) => response.writeHead(500).end(error.message))
  } else {
    provider.callback()(request, response)
  }
})
server.listen(0, '127.0.0.1', () => console.log(`listening on ${server.address().port}`))

createInterface({ input: process.stdin })
  .on('line', (order) => {
    keys = order === 'rotate' ? [newKey(), ...keys] : keys.slice(0, 1)
    provider = newProvider(keys)
    console.log(`done: ${order}`)
  })
  .on('close', () => process.exit())

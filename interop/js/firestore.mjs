// A Firestore emulator with one document, until its standard input ends.
//
//   node firestore.mjs PORT
import { FirestoreServer } from '@firestore-emulator/server'

const server = new FirestoreServer()
await server.start(Number(process.argv[2]))
console.log('ready')
process.stdin.resume().on('end', () => process.exit(0))

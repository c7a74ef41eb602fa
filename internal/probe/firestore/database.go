package firestore

import (
	"context"
	"net/url"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// field is the one of the canary; of another document it is the only one that
// is asked for, so that none of a person's data comes here.
const field = "gantryProbe"

// database is one document of a database. It speaks the service's own
// protocol: the client library above it repeats calls until their context
// ends, and so tells neither what failed nor when.
type database struct{ project, id, document string }

func (d database) path() string { return "projects/" + d.project + "/databases/" + d.id }

func (d database) name() string { return d.path() + "/documents/" + d.document }

// call adds the headers by which Google routes a call.
func (d database) call(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "google-cloud-resource-prefix", d.path(),
		"x-goog-request-params", "project_id="+url.QueryEscape(d.project)+"&database_id="+url.QueryEscape(d.id))
}

// read returns the field of the document, "" if it has none.
func (d database) read(ctx context.Context, c *grpc.ClientConn) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream
	s, err := firestorepb.NewFirestoreClient(c).BatchGetDocuments(d.call(ctx), &firestorepb.BatchGetDocumentsRequest{
		Database: d.path(), Documents: []string{d.name()}, Mask: &firestorepb.DocumentMask{FieldPaths: []string{field}},
	})
	if err != nil {
		return "", err
	}
	for {
		r, err := s.Recv()
		if err != nil { // also io.EOF: no answer came
			return "", err
		}
		switch {
		case r.GetFound() != nil:
			return r.GetFound().GetFields()[field].GetStringValue(), nil
		case r.GetMissing() != "":
			return "", status.Error(codes.NotFound, "")
		}
	}
}

func (d database) write(ctx context.Context, c *grpc.ClientConn, song string) error {
	return d.commit(ctx, c, &firestorepb.Write{Operation: &firestorepb.Write_Update{Update: &firestorepb.Document{
		Name: d.name(), Fields: map[string]*firestorepb.Value{field: {ValueType: &firestorepb.Value_StringValue{StringValue: song}}},
	}}})
}

func (d database) remove(ctx context.Context, c *grpc.ClientConn) error {
	return d.commit(ctx, c, &firestorepb.Write{Operation: &firestorepb.Write_Delete{Delete: d.name()}})
}

func (d database) commit(ctx context.Context, c *grpc.ClientConn, w *firestorepb.Write) error {
	_, err := firestorepb.NewFirestoreClient(c).Commit(d.call(ctx), &firestorepb.CommitRequest{Database: d.path(), Writes: []*firestorepb.Write{w}})
	return err
}
